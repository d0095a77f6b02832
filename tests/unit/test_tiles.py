"""Tiles: their addresses, which there are, and that any proof made of them is the one that the leaves give."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.merkle.proofs import consistency_path, consistency_subtrees, inclusion_path, inclusion_subtrees
from events.merkle.tiles import (
    Tile,
    TileError,
    decode_bundle,
    encode_bundle,
    hashes_of,
    parse_path,
    roots_from,
    tiles_for,
    tiles_of,
    width_at,
)
from events.merkle.tree import Subtree, perfect_subtrees, root_of

LEAVES = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(70_000)]


def everything(size: int) -> dict[tuple[int, int], bytes]:
    """The tiles of a tree, made level by level as the specification says."""
    tiles: dict[tuple[int, int], bytes] = {}
    hashes, level = LEAVES[:size], 0
    while hashes:
        for index in range(-(-len(hashes) // 256)):
            tiles[level, index] = b"".join(hashes[index * 256 : index * 256 + 256])
        hashes = [root_of(hashes[at : at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    return tiles


def test_a_tree_of_70000_has_the_tiles_that_the_specification_lists():
    tiles = list(tiles_of(70_000))

    assert sum(tile.level == 0 and tile.width == 256 for tile in tiles) == 273
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert Tile(1, 0) in tiles
    assert len(tiles) == 277
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_what_a_tree_has_beyond_an_earlier_size_is_what_was_not_full_then(one: int, other: int):
    size, since = max(one, other), min(one, other)

    full_then = {tile for tile in tiles_of(since) if tile.width == 256}

    assert list(tiles_of(size, since=since)) == [tile for tile in tiles_of(size) if tile not in full_then]


@given(st.integers(0, 63), st.integers(0, 2**56 - 1), st.integers(1, 256))
def test_an_address_is_read_back_as_it_is_written(level: int, index: int, width: int):
    tile = Tile(level, index, width)

    prefix, number, rest = tile.path.split("/", 2)
    assert (prefix, number) == ("tile", str(level))
    assert parse_path(number, rest) == tile
    assert parse_path("entries", tile.bundle_path.removeprefix("tile/entries/")) == Tile(0, index, width)


def test_addresses_look_as_the_specification_says():
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(2, 0, 1).path == "tile/2/000.p/1"
    assert Tile(0, 1000, 8).bundle_path == "tile/entries/x001/000.p/8"


@pytest.mark.parametrize(
    ("level", "rest"),
    [
        ("64", "000"), ("00", "000"), ("-1", "000"), ("", "000"), ("a", "000"), ("\u0661", "000"),
        ("0", "0"), ("0", "0000"), ("0", "x000/000"), ("0", "x001"), ("0", "001/000"), ("0", "000.p/0"),
        ("0", "000.p/256"), ("0", "000.p/01"), ("0", "000.p/"), ("0", "000/"), ("0", ""), ("0", "../000"),
        ("0", "x999/x999/x999/x999/x999/x999/999"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(level: str, rest: str):
    with pytest.raises(TileError):
        parse_path(level, rest)


@given(st.text(max_size=6), st.text("x0123456789/.p", max_size=24))
def test_whatever_the_address_is_it_is_a_tiles_or_a_tile_error(level: str, rest: str):
    try:
        tile = parse_path(level, rest)
    except TileError:
        return
    assert tile.path == f"tile/{level}/{rest}" or tile.bundle_path == f"tile/{level}/{rest}"


sizes = st.integers(1, 70_000) | st.sampled_from([1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000])


@settings(max_examples=25, deadline=None)
@given(sizes.flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.integers(1, size), st.just(size))))
def test_proofs_made_of_tiles_are_those_that_the_leaves_give(drawn: tuple[int, int, int]):
    index, first, size = drawn
    tiles = everything(size)

    for subtrees, path in (
        (inclusion_subtrees(index, size), inclusion_path(LEAVES, index, size)),
        (consistency_subtrees(first, size), consistency_path(LEAVES, first, size)),
        ([Subtree(0, size)], [root_of(LEAVES[:size])]),
    ):
        needed = {(tile.level, tile.index): tiles[tile.level, tile.index] for tile in tiles_for(subtrees, size)}
        assert all(len(hashes_of(tiles[tile.level, tile.index])) == tile.width for tile in tiles_for(subtrees, size))
        assert roots_from(needed, subtrees) == path


def test_a_proof_needs_two_tiles_a_level_at_most():
    needed = tiles_for(inclusion_subtrees(123_456, 1_000_000), 1_000_000)

    assert len(needed) <= 6
    assert max(sum(tile.level == level for tile in needed) for level in range(3)) <= 2


def test_tiles_that_are_missing_or_short_make_no_roots():
    subtrees = perfect_subtrees(Subtree(0, 3))

    for tile in (b"", b"\x00" * 64, b"\x00" * 33):
        with pytest.raises(TileError):
            roots_from({(0, 0): tile}, subtrees)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_is_read_back_as_it_is_written(entries: list[bytes]):
    assert list(decode_bundle(encode_bundle(entries), len(entries))) == entries


@given(st.binary(max_size=100), st.integers(0, 256))
def test_whatever_the_bytes_are_they_are_a_bundle_or_a_tile_error(raw: bytes, width: int):
    try:
        entries = decode_bundle(raw, width)
    except TileError:
        return
    assert encode_bundle(entries) == raw


@pytest.mark.parametrize("size", [31, 33, 8193, 8224])
def test_a_tile_is_made_of_whole_hashes_and_not_of_too_many(size: int):
    with pytest.raises(TileError):
        hashes_of(b"\x00" * size)


@given(st.integers(0, 2**40), st.integers(0, 4), st.integers(0, 5))
def test_a_tile_is_as_wide_as_its_level_reaches(size: int, level: int, index: int):
    reaches = size // 256**level - 256 * index

    assert width_at(size, level, index) == max(0, min(256, reaches))
