from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.entry import leaf_hash
from events.merkle.tree import (
    EMPTY_ROOT,
    Frontier,
    Subtree,
    extend,
    node_hash,
    perfect_subtrees,
    root_of,
    root_of_frontier,
    split,
)
from tests.support.rfc9162 import mth
from tests.support.shared import shared_path

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(300)]

sizes = st.integers(0, len(LEAVES))


def grown(size: int) -> Frontier:
    tree = Frontier()
    for leaf in LEAVES[:size]:
        tree = tree.append(leaf)
    return tree


def test_the_known_leaves_have_the_known_roots():
    known = json.loads(shared_path("vectors", "rfc6962_roots.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in known["leaves_hex"]]
    assert [root_of(leaves[:size]).hex() for size in range(9)] == known["roots_hex"]


def test_the_empty_tree_has_the_hash_of_nothing_as_its_root():
    assert Frontier().root() == root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_a_tree_of_one_leaf_has_it_as_its_root():
    assert root_of(LEAVES[:1]) == LEAVES[0]


def test_a_node_is_hashed_with_the_prefix_that_no_leaf_has():
    assert node_hash(LEAVES[0], LEAVES[1]) == hashlib.sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()


@pytest.mark.parametrize(("size", "left"), [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (2**64, 2**63)])
def test_a_tree_splits_at_the_largest_power_of_two_below_its_size(size, left):
    assert split(size) == left


@given(sizes)
def test_the_root_is_that_of_the_recursive_definition(size):
    assert root_of(LEAVES[:size]) == mth(LEAVES[:size])


@given(sizes)
def test_a_tree_grown_leaf_by_leaf_is_the_tree_made_at_once(size):
    assert grown(size).root() == mth(LEAVES[:size])


@given(sizes)
def test_a_frontier_is_the_roots_of_the_perfect_subtrees_largest_first(size):
    expected = [mth(LEAVES[start:end]) for start, end in perfect_subtrees(Subtree(0, size))] if size else []
    assert list(grown(size).roots) == expected


@given(sizes, st.integers(0, 100))
def test_extending_in_place_goes_on_from_any_frontier(size, more):
    tree = grown(size)
    roots = list(tree.roots)
    for number, leaf in enumerate(LEAVES[:more]):
        extend(size + number, roots, leaf)
    assert root_of_frontier(roots) == mth(LEAVES[:size] + LEAVES[:more])
    assert Frontier(size + more, tuple(roots)).root() == root_of_frontier(roots)


def test_appending_to_a_frontier_leaves_it_as_it_was():
    tree = grown(7)
    before = (tree.size, tree.roots)
    tree.append(LEAVES[7])
    assert (tree.size, tree.roots) == before


@pytest.mark.parametrize(
    ("size", "roots"),
    [
        (0, (LEAVES[0],)),
        (1, ()),
        (2, (LEAVES[0], LEAVES[1])),
        (3, (LEAVES[0],)),
        (-1, (LEAVES[0],)),
        (1, (b"",)),
        (1, (LEAVES[0][:31],)),
        (1, (LEAVES[0] + b"\x00",)),
    ],
)
def test_hashes_that_are_not_the_frontier_of_the_size_are_refused(size, roots):
    with pytest.raises(ValueError, match="frontier"):
        Frontier(size, roots)


@given(st.integers(1, 2**63), st.integers(0, 2**20))
def test_a_subtree_is_made_of_adjoining_perfect_ones_of_falling_width(leaves, number):
    start = number << (leaves - 1).bit_length()
    parts = perfect_subtrees(Subtree(start, start + leaves))
    widths = [part.end - part.start for part in parts]
    assert [part.start for part in parts] == [start + sum(widths[:before]) for before in range(len(parts))]
    assert sum(widths) == leaves
    assert widths == sorted(set(widths), reverse=True)
    assert all(width.bit_count() == 1 and part.start % width == 0 for width, part in zip(widths, parts, strict=True))


@given(st.integers(0, len(LEAVES) - 1), st.integers(1, len(LEAVES)))
def test_the_roots_of_its_perfect_subtrees_join_into_a_subtrees_root(start, end):
    try:
        parts = perfect_subtrees(Subtree(start, end))
    except ValueError:
        return
    assert root_of_frontier([mth(LEAVES[first:last]) for first, last in parts]) == mth(LEAVES[start:end])


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 3), (4, 3), (1, 3), (2, 5), (4, 9), (-4, 0), (-4, -3)])
def test_leaves_that_no_subtree_spans_are_refused(start, end):
    with pytest.raises(ValueError, match="no subtree"):
        perfect_subtrees(Subtree(start, end))
