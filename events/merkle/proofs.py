"""Inclusion and consistency proofs: RFC 9162, sections 2.1.3 and 2.1.4 (RFC 6962, section 2.1).

**Making** a proof is split in two, so that the hashes may come from wherever they are kept: `inclusion_subtrees`
and `consistency_subtrees` say of which subtrees the proof is made, in its order, and the caller looks their
roots up (by `tree.perfect_subtrees`, where only perfect ones are stored). `inclusion_path` and `consistency_path`
are the same over leaves in memory.

**Verifying** raises `ProofError`, whatever it is handed: proofs come from outside. A proof ties a root to a leaf
or to another root. It does not tie a root to a *size*: the paths of leaf 0 in trees of 3 and of 4, for one, have
the same form. Take size and root together from a signed checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from events.merkle import VerificationError
from events.merkle.tree import EMPTY_ROOT, HASH_BYTES, Subtree, node_hash, root_of, split

MAX_SIZE: Final = 2**64 - 1
"""The largest tree there can be: RFC 9162 keeps sizes in 64 bits."""

_MAX_PATH = 65  # a hash for each level of the largest tree, and one that a consistency proof begins with


class ProofError(VerificationError):
    """The proof does not show what it is said to show, or is no proof at all."""


def inclusion_subtrees(index: int, size: int) -> list[Subtree]:
    """Return the subtrees whose roots prove that leaf `index` is in the tree of `size` (RFC 9162, 2.1.3.1).

    They come in the order of the proof, from the leaf to the root. Raises ValueError for a leaf that is not there.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    subtrees: list[Subtree] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            subtrees.append(Subtree(middle, end))
            end = middle
        else:
            subtrees.append(Subtree(start, middle))
            start = middle
    subtrees.reverse()
    return subtrees


def consistency_subtrees(first: int, second: int) -> list[Subtree]:
    """Return the subtrees whose roots prove that the tree of size `second` extends that of `first` (2.1.4.1).

    They come in the order of the proof; there are none where the sizes are equal. Raises ValueError unless
    0 < first <= second: every tree extends the empty one, so of that there is no proof.
    """
    if not 0 < first <= second:
        raise ValueError(f"a tree of {second} is not proved to extend one of {first}")
    subtrees: list[Subtree] = []
    start, end = 0, second
    while first < end:
        middle = start + split(end - start)
        if first <= middle:
            subtrees.append(Subtree(middle, end))
            end = middle
        else:
            subtrees.append(Subtree(start, middle))
            start = middle
    if start > 0:  # else the subtree is the whole first tree, whose root the verifier has
        subtrees.append(Subtree(start, end))
    subtrees.reverse()
    return subtrees


def inclusion_path(leaves: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """Prove that leaf `index` is in the tree of the first `size` of these leaves."""
    return _roots(leaves, inclusion_subtrees(index, size), size)


def consistency_path(leaves: Sequence[bytes], first: int, second: int) -> list[bytes]:
    """Prove that the tree of the first `second` of these leaves extends that of the first `first`."""
    return _roots(leaves, consistency_subtrees(first, second), second)


def _roots(leaves: Sequence[bytes], subtrees: list[Subtree], size: int) -> list[bytes]:
    if size > len(leaves):
        raise ValueError(f"there are {len(leaves)} leaves, not {size}")
    return [root_of(leaves[start:end]) for start, end in subtrees]


def verify_inclusion(*, leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Return if `path` (a list or tuple) shows that `leaf` is at `index` in the tree of `size` with `root`.

    Raises `ProofError` otherwise, and nothing else on any arguments. RFC 9162, section 2.1.3.2.
    """
    _check_sizes(index=index, size=size)
    _check_hashes(leaf=leaf, root=root)
    hashes = _checked_path(path)
    if index >= size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    if _root_by_inclusion(leaf, index, size, hashes) != root:
        raise ProofError("the path does not lead from the leaf to the root")


def _root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    fn, sn, root = index, size - 1, leaf
    for hash_ in path:
        if sn == 0:
            raise ProofError("the path is too long")
        if fn & 1 or fn == sn:
            root = node_hash(hash_, root)
            fn, sn = _up_to_left_turn(fn, sn)
        else:
            root = node_hash(root, hash_)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("the path is too short")
    return root


def verify_consistency(
    *, first_size: int, first_root: bytes, second_size: int, second_root: bytes, path: Sequence[bytes]
) -> None:
    """Return if `path` (a list or tuple) shows that the second tree is the first with leaves appended, or none.

    Raises `ProofError` otherwise, and nothing else on any arguments. RFC 9162, section 2.1.4.2. Two trees of equal
    size have equal roots and an empty path. That a tree extends the empty one cannot be proved, and need not be.
    """
    _check_sizes(first_size=first_size, second_size=second_size)
    _check_hashes(first_root=first_root, second_root=second_root)
    hashes = _checked_path(path)
    if first_size == second_size:
        _check_same(first_size, first_root, second_root, hashes)
        return
    if not 0 < first_size < second_size:
        raise ProofError(f"a tree of {second_size} is not proved to extend one of {first_size}")
    if not hashes:
        raise ProofError("the path is empty, yet the sizes differ")
    if first_size & (first_size - 1) == 0:  # a perfect tree is its own first subtree
        hashes = (first_root, *hashes)
    if _roots_by_consistency(first_size, second_size, hashes) != (first_root, second_root):
        raise ProofError("the path does not lead to both roots")


def _roots_by_consistency(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first_root = second_root = path[0]
    for hash_ in path[1:]:
        if sn == 0:
            raise ProofError("the path is too long")
        if fn & 1 or fn == sn:
            first_root = node_hash(hash_, first_root)
            second_root = node_hash(hash_, second_root)
            fn, sn = _up_to_left_turn(fn, sn)
        else:
            second_root = node_hash(second_root, hash_)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofError("the path is too short")
    return first_root, second_root


def _up_to_left_turn(fn: int, sn: int) -> tuple[int, int]:
    """Climb past the levels at which the last node has no sibling."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _check_same(size: int, first_root: bytes, second_root: bytes, path: tuple[bytes, ...]) -> None:
    if path:
        raise ProofError("the path is not empty, yet the sizes are equal")
    if first_root != second_root:
        raise ProofError("the sizes are equal, the roots are not")
    if size == 0 and first_root != EMPTY_ROOT:
        raise ProofError("this is not the root of the empty tree")


def _check_sizes(**numbers: object) -> None:
    for name, number in numbers.items():
        if type(number) is not int or not 0 <= number <= MAX_SIZE:  # True is no size
            raise ProofError(f"{name} is not a number from 0 to 2^64 - 1")


def _check_hashes(**hashes: object) -> None:
    for name, hash_ in hashes.items():
        if type(hash_) is not bytes or len(hash_) != HASH_BYTES:
            raise ProofError(f"{name} is not a hash of {HASH_BYTES} bytes")


def _checked_path(path: object) -> tuple[bytes, ...]:
    if type(path) is not list and type(path) is not tuple:
        raise ProofError("the path is not a list of hashes")
    hashes = tuple(cast("Sequence[object]", path))
    if len(hashes) > _MAX_PATH:
        raise ProofError(f"the path has {len(hashes)} hashes; no tree needs more than {_MAX_PATH}")
    for number, hash_ in enumerate(hashes):
        if type(hash_) is not bytes or len(hash_) != HASH_BYTES:
            raise ProofError(f"hash {number} of the path is not {HASH_BYTES} bytes")
    return cast("tuple[bytes, ...]", hashes)
