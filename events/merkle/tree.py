"""The Merkle tree of RFC 9162, section 2.1 (that of RFC 6962, section 2.1), over SHA-256.

A leaf here is always a leaf's *hash*, SHA-256(0x00 || entry) (`entry.leaf_hash`); entries are not needed.
A tree that grows is kept as its **frontier**: the roots of the perfect subtrees that it is made of, one for each
bit that is set in its size, the largest (leftmost) first. That is all that appending and the root need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

HASH_BYTES: Final = 32

EMPTY_ROOT: Final = hashlib.sha256().digest()
"""The root of the tree without leaves: the hash of nothing."""

_hash_of_node = hashlib.sha256(b"\x01").copy  # with the prefix taken in already, a node costs an eighth less


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into their parent: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def row_above(row: bytes) -> bytes:
    """Hash the neighbours in a row of 2n hashes, one after the other as in a tile, into a row of n."""
    begin, above = _hash_of_node, list[bytes]()
    append, step = above.append, 2 * HASH_BYTES
    for at in range(0, len(row), step):
        node = begin()
        node.update(row[at : at + step])
        append(node.digest())
    return b"".join(above)


def split(size: int) -> int:
    """Return how many leaves the left subtree of a tree of `size` >= 2 has: the largest power of two below it."""
    return 1 << ((size - 1).bit_length() - 1)


def extend(size: int, roots: list[bytes], leaf: bytes) -> None:
    """Append one leaf to the frontier `roots` of a tree of `size`, in place; its size is then one more.

    This is the writer's inner loop: one node hash a leaf on average, log2(size) at most. Nothing is checked;
    `roots` must have as many hashes as `size` has bits set.
    """
    while size & 1:
        node = _hash_of_node()
        node.update(roots.pop())
        node.update(leaf)
        leaf = node.digest()
        size >>= 1
    roots.append(leaf)


def root_of_frontier(roots: Sequence[bytes]) -> bytes:
    """Join the roots of a tree's perfect subtrees, largest first, into its root."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in roots[-2::-1]:
        root = node_hash(left, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree that has these leaves: MTH of RFC 9162, section 2.1.1."""
    roots: list[bytes] = []
    for size, leaf in enumerate(leaves):
        extend(size, roots, leaf)
    return root_of_frontier(roots)


class Frontier(msgspec.Struct, frozen=True):
    """A tree that can grow, as a value. `Frontier()` is the empty one.

    Raises ValueError when there is not one 32-byte hash for each bit that is set in the size.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise ValueError(f"{len(self.roots)} hashes are not the frontier of a tree of {self.size}")
        if any(len(root) != HASH_BYTES for root in self.roots):
            raise ValueError(f"each hash of a frontier has {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> Frontier:
        """Return the tree with one more leaf; this one stays as it is."""
        roots = list(self.roots)
        extend(self.size, roots, leaf)
        return Frontier(self.size + 1, tuple(roots))

    def root(self) -> bytes:
        """Return the root of the tree."""
        return root_of_frontier(self.roots)


class Subtree(NamedTuple):
    """The part of a tree over the leaves from `start` up to but not including `end`."""

    start: int
    end: int


def perfect_subtrees(subtree: Subtree) -> list[Subtree]:
    """Return the perfect subtrees that a part of a tree is made of, the largest first.

    `root_of_frontier` of their roots is the root of the part. Perfect subtrees never change once they are
    complete, so these are the hashes to store. A part that is perfect itself is returned as it is. Only what
    RFC 9162 calls a subtree has this form: with 2^k the smallest power of two that is not below its
    number of leaves, `start` is a multiple of 2^k. Anything else raises ValueError.
    """
    start, end = subtree
    leaves = end - start
    if leaves < 1 or start < 0 or start % (1 << (leaves - 1).bit_length()):
        raise ValueError(f"there is no subtree over the leaves from {start} up to {end}")
    parts: list[Subtree] = []
    while start < end:
        width = 1 << ((end - start).bit_length() - 1)
        parts.append(Subtree(start, start + width))
        start += width
    return parts
