"""Answers that are kept: known by what they are made of, and bounded."""

from __future__ import annotations

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from events.entry import canonical
from services.registry.answers import LARGEST, OVERHEAD, Answers, Kept
from services.registry.api import quotations
from services.registry.api.quotations import Cited
from tests.support.spec import made_id

KEY = b"k" * 32


def kept(body: bytes) -> Kept:
    return Kept(body, '"tag"', "application/json", "")


def test_a_tag_differs_with_everything_that_an_answer_is_made_of_and_with_the_key():
    answers = Answers(KEY)
    bases = [
        answers.basis("1.0", 7, b"mark", 10, "/v1/parties", b"", ()),
        answers.basis("1.1", 7, b"mark", 10, "/v1/parties", b"", ()),
        answers.basis("1.0", 8, b"mark", 10, "/v1/parties", b"", ()),
        answers.basis("1.0", 7, b"another", 10, "/v1/parties", b"", ()),
        answers.basis("1.0", 7, b"mark", 11, "/v1/parties", b"", ()),
        answers.basis("1.0", 7, b"mark", 10, "/v1/people", b"", ()),
        answers.basis("1.0", 7, b"mark", 10, "/v1/parties", b"limit=1", ()),
        answers.basis("1.0", 7, b"mark", 10, "/v1/parties", b"", ("text/csv",)),
        Answers(b"another").basis("1.0", 7, b"mark", 10, "/v1/parties", b"", ()),
    ]
    tags = [answers.tag(basis, revision) for basis in bases for revision in (None, 0, 1, 11)]
    assert len(set(tags)) == len(tags)
    assert all(re.fullmatch(r'"([0-9]+\.)?[0-9a-f]{16}"', tag) for tag in tags)
    assert answers.tag(bases[0], 11).startswith('"11.')


def test_what_is_kept_is_bounded_in_bytes_and_what_was_not_asked_for_the_longest_goes_first():
    answers = Answers(KEY, most=3 * (100 + OVERHEAD))
    bases = [answers.basis(number) for number in range(4)]
    for basis in bases[:3]:
        answers.keep(basis, kept(b"x" * 100))
    assert answers.find(bases[0]) is not None
    answers.keep(bases[3], kept(b"x" * 100))
    assert [answers.find(basis) is not None for basis in bases] == [True, False, True, True]
    assert answers.bytes == 3 * (100 + OVERHEAD)


def test_what_leads_to_the_next_page_counts_as_well():
    answers = Answers(KEY, most=2 * OVERHEAD)
    for number in range(2):
        answers.keep(answers.basis(number), Kept(b"", '"tag"', "application/json", "x" * OVERHEAD))
    assert [answers.find(answers.basis(number)) is not None for number in range(2)] == [False, True]
    assert answers.bytes == 2 * OVERHEAD


def test_an_answer_is_kept_once_and_a_large_one_never():
    answers = Answers(KEY)
    answers.keep(answers.basis(1), kept(b"first"))
    answers.keep(answers.basis(1), kept(b"second"))
    assert answers.find(answers.basis(1)) == kept(b"first")
    before = answers.bytes
    answers.keep(answers.basis(2), kept(b"x" * (LARGEST + 1)))
    assert answers.find(answers.basis(2)) is None
    assert answers.bytes == before


# Quotations

SOURCES = [made_id("src", number) for number in range(3)]
CITATIONS = st.fixed_dictionaries(
    {"source": st.sampled_from(SOURCES), "start": st.integers(0, 20), "end": st.integers(0, 20)}
)
TEXTS = st.text() | st.sampled_from(
    [
        '{"end":1,"source":"' + SOURCES[0] + '","start":0}',
        '{"',
        '{\\"end\\":1',
        SOURCES[0],
        '","citations":[{"end":1,"source":"' + SOURCES[1] + '","start":0}],"x":"',
    ]
)
ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53) | TEXTS | CITATIONS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
TEXT = 'Il a dit : « "oui" » \\ 😀 and no more.'


def decoding(value: object, said: dict[str, tuple[str | None, bool]]) -> object:
    """Quote by taking the item apart."""
    match value:
        case list():
            return [decoding(one, said) for one in value]
        case dict():
            if value.keys() != {"source", "start", "end"} or value["source"] not in said:
                return {key: decoding(one, said) for key, one in value.items()}
            text, withdrawn = said[value["source"]]
            cut = None if text is None else text[value["start"] : value["end"]]
            return {**value, "quotation": cut, "withdrawn": withdrawn}
        case _:
            return value


@given(ITEMS)
def test_an_item_is_quoted_in_as_if_it_were_taken_apart(item: object):
    said = {SOURCES[0]: (TEXT, False), SOURCES[1]: (None, True), SOURCES[2]: (None, False)}
    body = canonical.encode(item)
    found = quotations.citations([body])
    written = {
        one: quotations.quoting(cited, said[cited.source][0], withdrawn=said[cited.source][1])
        for one, cited in found.items()
    }
    quoted = quotations.quoted(body, written)
    assert quoted == canonical.encode(decoding(msgspec.json.decode(body), said))


def test_a_citation_says_its_source_and_its_bounds():
    body = canonical.encode({"citations": [{"source": SOURCES[1], "start": 3, "end": 17}]})
    assert list(quotations.citations([body]).values()) == [Cited(SOURCES[1], 3, 17)]
