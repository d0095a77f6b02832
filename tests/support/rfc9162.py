"""The definitions of RFC 9162, section 2.1, word for word: recursive, slow, and an oracle for `events.merkle`.

They share no code with it. `D` and the other names are the RFC's.
"""

from __future__ import annotations

import hashlib


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _k(n: int) -> int:
    """Return the largest power of two smaller than n: k < n <= 2k."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(D: list[bytes]) -> bytes:  # noqa: N803
    """2.1.1, over leaf hashes."""
    if not D:
        return _hash(b"")
    if len(D) == 1:
        return D[0]
    k = _k(len(D))
    return _hash(b"\x01" + mth(D[:k]) + mth(D[k:]))


def path(m: int, D: list[bytes]) -> list[bytes]:  # noqa: N803
    """2.1.3.1: PATH(m, D_n)."""
    if len(D) == 1:
        return []
    k = _k(len(D))
    if m < k:
        return [*path(m, D[:k]), mth(D[k:])]
    return [*path(m - k, D[k:]), mth(D[:k])]


def proof(m: int, D: list[bytes]) -> list[bytes]:  # noqa: N803
    """2.1.4.1: PROOF(m, D_n)."""
    return _subproof(m, D, b=True)


def _subproof(m: int, D: list[bytes], *, b: bool) -> list[bytes]:  # noqa: N803
    if m == len(D):
        return [] if b else [mth(D)]
    k = _k(len(D))
    if m <= k:
        return [*_subproof(m, D[:k], b=b), mth(D[k:])]
    return [*_subproof(m - k, D[k:], b=False), mth(D[:k])]


def path_form(m: int, n: int) -> str:
    """Return on which side each hash of PATH(m, D_n) stands: all of m and n that an inclusion proof depends on."""
    if n == 1:
        return ""
    k = _k(n)
    return path_form(m, k) + "R" if m < k else path_form(m - k, n - k) + "L"


def proof_form(m: int, n: int, *, b: bool = True) -> str:
    """Return the same for PROOF(m, D_n), with what it begins with: the first root, or a hash of the proof."""
    if m == n:
        return "first root " if b else "hash "
    k = _k(n)
    return proof_form(m, k, b=b) + "R" if m <= k else proof_form(m - k, n - k, b=False) + "L"
