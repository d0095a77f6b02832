from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from events.entry import leaf_hash
from events.merkle.proofs import (
    ProofError,
    consistency_path,
    consistency_subtrees,
    inclusion_path,
    inclusion_subtrees,
    verify_consistency,
    verify_inclusion,
)
from events.merkle.tree import EMPTY_ROOT, perfect_subtrees, root_of_frontier
from tests.support import rfc9162
from tests.support.rfc9162 import mth
from tests.support.shared import shared_path

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(130)]
OTHER = hashlib.sha256(b"other").digest()


@st.composite
def inclusions(draw):
    size = draw(st.integers(1, len(LEAVES)))
    index = draw(st.integers(0, size - 1))
    return inclusion(index, size)


def inclusion(index: int, size: int) -> dict[str, Any]:
    return {
        "leaf": LEAVES[index],
        "index": index,
        "size": size,
        "root": mth(LEAVES[:size]),
        "path": inclusion_path(LEAVES, index, size),
    }


@st.composite
def consistencies(draw):
    second = draw(st.integers(1, len(LEAVES)))
    return consistency(draw(st.integers(1, second)), second)


def consistency(first: int, second: int) -> dict[str, Any]:
    return {
        "first_size": first,
        "first_root": mth(LEAVES[:first]),
        "second_size": second,
        "second_root": mth(LEAVES[:second]),
        "path": consistency_path(LEAVES, first, second),
    }


def with_a_bit_flipped(hash_: bytes, bit: int) -> bytes:
    return (int.from_bytes(hash_) ^ (1 << bit)).to_bytes(32)


def altered_paths(path: list[bytes]) -> list[list[bytes]]:
    """Every way of leaving one out, doubling one, putting one more in, and swapping two neighbours."""
    places = range(len(path))
    return [
        *([*path[:at], *path[at + 1 :]] for at in places),
        *([*path[:at], path[at], *path[at:]] for at in places),
        *([*path[:at], OTHER, *path[at:]] for at in range(len(path) + 1)),
        *([*path[:at], path[at + 1], path[at], *path[at + 2 :]] for at in places[:-1]),
    ]


# Making proofs


@given(inclusions())
def test_an_inclusion_path_is_that_of_the_recursive_definition(proof):
    assert proof["path"] == rfc9162.path(proof["index"], LEAVES[: proof["size"]])


@given(consistencies())
def test_a_consistency_path_is_that_of_the_recursive_definition(proof):
    assert proof["path"] == rfc9162.proof(proof["first_size"], LEAVES[: proof["second_size"]])


@given(inclusions(), consistencies())
def test_proofs_can_be_made_of_stored_perfect_subtrees_alone(included, consistent):
    stored = {
        (start, start + width): mth(LEAVES[start : start + width])
        for width in (1, 2, 4, 8, 16, 32, 64, 128)
        for start in range(0, len(LEAVES) - width + 1, width)
    }
    for subtrees, path in (
        (inclusion_subtrees(included["index"], included["size"]), included["path"]),
        (consistency_subtrees(consistent["first_size"], consistent["second_size"]), consistent["path"]),
    ):
        assert [root_of_frontier([stored[part] for part in perfect_subtrees(whole)]) for whole in subtrees] == path


@given(st.integers(1, 2**64 - 1), st.data())
def test_the_largest_trees_need_one_hash_a_level(size, data):
    index = data.draw(st.integers(0, size - 1))
    assert len(inclusion_subtrees(index, size)) <= 64
    assert len(consistency_subtrees(index + 1, size)) <= 65


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 5), (-1, 5), (2**64 - 1, 1)])
def test_no_inclusion_path_is_made_for_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(LEAVES, index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_no_consistency_path_is_made_from_the_empty_tree_or_backwards(first, second):
    with pytest.raises(ValueError, match="not proved"):
        consistency_path(LEAVES, first, second)


def test_no_path_is_made_over_fewer_leaves_than_the_size_says():
    with pytest.raises(ValueError, match="130 leaves, not 131"):
        inclusion_path(LEAVES, 0, 131)
    with pytest.raises(ValueError, match="130 leaves, not 131"):
        consistency_path(LEAVES, 1, 131)


# Verifying inclusion


def test_the_public_inclusion_vectors_are_judged_as_they_say():
    cases = json.loads(shared_path("vectors", "rfc6962_inclusion.json").read_text())["cases"]
    assert [case["case"] for case in cases if is_refused(case) is not case["wantErr"]] == []
    assert {case["wantErr"] for case in cases} == {True, False}


def is_refused(case: dict[str, Any]) -> bool:
    """Judge a public vector; its `null` is Go's way to write an empty path or no bytes."""
    try:
        verify_inclusion(
            leaf=base64.b64decode(case["leafHash"] or ""),
            index=case["leafIdx"],
            size=case["treeSize"],
            root=base64.b64decode(case["root"] or ""),
            path=[base64.b64decode(hash_ or "") for hash_ in case["proof"] or []],
        )
    except ProofError:
        return True
    return False


@given(inclusions())
def test_every_inclusion_proof_verifies(proof):
    verify_inclusion(**proof)
    verify_inclusion(**proof | {"path": tuple(proof["path"])})


@given(inclusions(), st.integers(0, 255), st.data())
def test_one_bit_flipped_anywhere_refuses_an_inclusion_proof(proof, bit, data):
    where = data.draw(st.sampled_from(["leaf", "root", *range(len(proof["path"]))]))
    if isinstance(where, int):
        proof["path"][where] = with_a_bit_flipped(proof["path"][where], bit)
    else:
        proof[where] = with_a_bit_flipped(proof[where], bit)
    with pytest.raises(ProofError):
        verify_inclusion(**proof)


@given(inclusions())
def test_a_hash_too_many_too_few_or_out_of_order_refuses_an_inclusion_proof(proof):
    for path in altered_paths(proof["path"]):
        with pytest.raises(ProofError):
            verify_inclusion(**proof | {"path": path})


@given(inclusions())
def test_no_other_index_is_proved_in_the_same_tree(proof):
    for index in range(-2, proof["size"] + 2):
        if index != proof["index"]:
            with pytest.raises(ProofError):
                verify_inclusion(**proof | {"index": index})


@given(inclusions(), st.integers(-1, 2 * len(LEAVES)))
@example(inclusion(0, 3), 4)
def test_another_size_is_proved_only_where_the_path_has_the_same_form(proof, size):
    index = proof["index"]
    same = size > index and rfc9162.path_form(index, size) == rfc9162.path_form(index, proof["size"])
    if same:
        verify_inclusion(**proof | {"size": size})
    else:
        with pytest.raises(ProofError):
            verify_inclusion(**proof | {"size": size})


# Verifying consistency


def test_the_known_roots_are_consistent_with_each_other():
    known = json.loads(shared_path("vectors", "rfc6962_roots.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in known["leaves_hex"]]
    roots = [bytes.fromhex(root) for root in known["roots_hex"]]
    for second in range(1, 9):
        for first in range(1, second + 1):
            verify_consistency(
                first_size=first,
                first_root=roots[first],
                second_size=second,
                second_root=roots[second],
                path=consistency_path(leaves, first, second),
            )


@given(consistencies())
def test_every_consistency_proof_verifies(proof):
    verify_consistency(**proof)
    verify_consistency(**proof | {"path": tuple(proof["path"])})


@given(consistencies(), st.integers(0, 255), st.data())
def test_one_bit_flipped_anywhere_refuses_a_consistency_proof(proof, bit, data):
    where = data.draw(st.sampled_from(["first_root", "second_root", *range(len(proof["path"]))]))
    if isinstance(where, int):
        proof["path"][where] = with_a_bit_flipped(proof["path"][where], bit)
    else:
        proof[where] = with_a_bit_flipped(proof[where], bit)
    with pytest.raises(ProofError):
        verify_consistency(**proof)


@given(consistencies())
def test_a_hash_too_many_too_few_or_out_of_order_refuses_a_consistency_proof(proof):
    for path in altered_paths(proof["path"]):
        with pytest.raises(ProofError):
            verify_consistency(**proof | {"path": path})


@given(consistencies(), st.integers(-1, 2 * len(LEAVES)), st.integers(-1, 2 * len(LEAVES)))
@example(consistency(1, 3), 1, 4)
def test_other_sizes_are_proved_consistent_only_where_the_path_has_the_same_form(proof, first, second):
    sizes: dict[str, Any] = {"first_size": first, "second_size": second}
    form = rfc9162.proof_form(proof["first_size"], proof["second_size"])
    if 0 < first <= second and rfc9162.proof_form(first, second) == form:
        verify_consistency(**proof | sizes)
    else:
        with pytest.raises(ProofError):
            verify_consistency(**proof | sizes)


@given(consistencies())
def test_two_different_trees_are_not_consistent_in_the_other_order(proof):
    assume(proof["first_size"] != proof["second_size"])
    with pytest.raises(ProofError, match="not proved"):
        verify_consistency(
            first_size=proof["second_size"],
            first_root=proof["second_root"],
            second_size=proof["first_size"],
            second_root=proof["first_root"],
            path=proof["path"],
        )


@given(consistencies())
def test_a_tree_that_was_rewritten_is_not_consistent(proof):
    rewritten = [OTHER, *LEAVES[1:]]
    forged = proof | {
        "second_root": mth(rewritten[: proof["second_size"]]),
        "path": consistency_path(rewritten, proof["first_size"], proof["second_size"]),
    }
    with pytest.raises(ProofError):
        verify_consistency(**forged)


@given(st.integers(0, len(LEAVES)))
def test_trees_of_equal_size_are_consistent_with_equal_roots_and_an_empty_path_only(size):
    root = mth(LEAVES[:size])
    same: dict[str, Any] = {"first_size": size, "first_root": root, "second_size": size, "second_root": root}
    verify_consistency(**same, path=[])
    with pytest.raises(ProofError, match="not empty"):
        verify_consistency(**same, path=[root])
    same["second_root"] = OTHER
    with pytest.raises(ProofError, match="the roots are not"):
        verify_consistency(**same, path=[])


def test_the_empty_tree_has_no_root_but_its_own():
    with pytest.raises(ProofError, match="empty tree"):
        verify_consistency(first_size=0, first_root=OTHER, second_size=0, second_root=OTHER, path=[])


@pytest.mark.parametrize("path", [[], [LEAVES[0]]])
def test_that_a_tree_extends_the_empty_one_is_not_provable(path):
    with pytest.raises(ProofError, match="not proved"):
        verify_consistency(first_size=0, first_root=EMPTY_ROOT, second_size=1, second_root=LEAVES[0], path=path)


@given(consistencies())
def test_an_empty_path_proves_nothing_of_different_sizes(proof):
    assume(proof["first_size"] != proof["second_size"])
    with pytest.raises(ProofError, match="empty"):
        verify_consistency(**proof | {"path": []})


# Malformed input

hashes = st.sampled_from(LEAVES[:3]) | st.binary(max_size=40)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.sampled_from([2**63, 2**64 - 2, 2**64 - 1, 2**64, 2**4096]),
    st.floats(),
    st.text(max_size=5),
    hashes,
    hashes.map(bytearray),
    st.lists(hashes, max_size=70),
    st.lists(st.none() | st.integers() | st.text(max_size=3) | hashes, max_size=4),
    st.lists(hashes, max_size=4).map(tuple),
    st.lists(hashes, max_size=4).map(iter),
    st.dictionaries(st.text(max_size=2), hashes, max_size=2),
)


@given(inclusions(), st.dictionaries(st.sampled_from(["leaf", "index", "size", "root", "path"]), anything, min_size=1))
def test_whatever_it_is_handed_the_inclusion_verifier_raises_only_proof_errors(proof, garbage):
    with suppress(ProofError):
        verify_inclusion(**proof | garbage)


@given(
    consistencies(),
    st.dictionaries(
        st.sampled_from(["first_size", "first_root", "second_size", "second_root", "path"]), anything, min_size=1
    ),
)
def test_whatever_it_is_handed_the_consistency_verifier_raises_only_proof_errors(proof, garbage):
    with suppress(ProofError):
        verify_consistency(**proof | garbage)


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        ({"path": None}, "not a list"),
        ({"path": b"".join(inclusion(1, 2)["path"])}, "not a list"),
        ({"path": iter(inclusion(1, 2)["path"])}, "not a list"),
        ({"path": [bytearray(32)]}, "hash 0 of the path"),
        ({"path": [None]}, "hash 0 of the path"),
        ({"path": ["00" * 16]}, "hash 0 of the path"),
        ({"path": [bytes(32), bytes(31)]}, "hash 1 of the path"),
        ({"path": [bytes(32)] * 66}, "no tree needs more than 65"),
        ({"index": True}, "index is not a number"),
        ({"index": 1.0}, "index is not a number"),
        ({"index": -1}, "index is not a number"),
        ({"index": 2**64 - 1}, "no leaf"),
        ({"size": 2**64}, "size is not a number"),
        ({"size": 0}, "no leaf"),
        ({"size": "2"}, "size is not a number"),
        ({"leaf": LEAVES[1].hex()}, "leaf is not a hash"),
        ({"root": b""}, "root is not a hash"),
        ({"root": None}, "root is not a hash"),
    ],
)
def test_the_verifier_says_what_is_malformed(malformed, reason):
    with pytest.raises(ProofError, match=reason):
        verify_inclusion(**inclusion(1, 2) | malformed)
