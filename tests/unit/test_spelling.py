"""A name is found in a text however it is written there, and wherever the text is cut to be looked at."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Callable
from typing import Literal, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry import spelling
from services.registry.spelling import Spellings

LETTERS = (
    "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôùûüÿñößøåæœčďěňřšťůžąęłń"
    "óśźżđğışțабвгдежзийклмнопрстуфхцчшщыэюяёїєґαβγδεζηθικλμνξοπρστυφχψωάέήίόύώ"
)
WORD = st.text(LETTERS, min_size=1, max_size=12)
NAMES = st.lists(WORD, min_size=1, max_size=4)
CASES: list[Callable[[str], str]] = [str.lower, str.upper, str.title, str.swapcase, lambda text: text]
BETWEEN = [" ", "\n", "  ", ", ", "\r\n\t", "\u00a0", "-", " \u2013 ", ". "]
AROUND = st.text(LETTERS + " .,\n", max_size=40)


def found(names: list[str], text: str, piece: int = spelling.PIECE, overlap: int = spelling.OVERLAP) -> bool:
    with patch.object(spelling, "PIECE", piece), patch.object(spelling, "OVERLAP", overlap):
        return Spellings(names).are_in(text.encode())


class Written(NamedTuple):
    """How a name stands in a text."""

    before: str
    after: str
    between: str
    case: Callable[[str], str]
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]
    turned: int


FORMS = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
WRITTEN = st.builds(Written, AROUND, AROUND, st.sampled_from(BETWEEN), st.sampled_from(CASES), FORMS, st.integers(0, 3))


@given(NAMES, FORMS, WRITTEN, st.integers(1, 200))
@settings(deadline=None, max_examples=500)
def test_a_name_is_found_in_any_case_and_normal_form_and_wherever_the_text_is_cut(
    words: list[str], form: Literal["NFC", "NFD", "NFKC", "NFKD"], how: Written, piece: int
):
    name = unicodedata.normalize(form, " ".join(words))
    at = how.turned % len(words)
    written = how.case(how.between.join([*words[at:], *words[:at]]))
    text = unicodedata.normalize(how.form, f"{how.before} {written} {how.after}")
    assert found([name], text, piece, overlap=300)


@given(NAMES, AROUND, st.integers(1, 60), st.integers(200, 300))
@settings(deadline=None)
def test_how_a_text_is_cut_makes_no_difference(words: list[str], text: str, piece: int, overlap: int):
    name = " ".join(words)
    for said in (text, text + name, name + text, f"{text}-{name}-{text}"):
        assert found([name], said, piece, overlap) == found([name], said)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Zenobia Quillfeather", "ZENOBIA\n   QUILLFEATHER's report"),
        ("Zenobia Quillfeather", "present: Quillfeather, Zenobia; and others"),
        ("Zenobia Quillfeather", "by Zenobia Quill-\n  feather"),
        ("Zenobia Quillfeather", "Zenobia Quill\u00adfeather"),
        ("Zenobia Quillfeather", "Ｚｅｎｏｂｉａ　Ｑｕｉｌｌｆｅａｔｈｅｒ"),
        ("Émilie Dùpré", "emilie dupre"),
        ("Ayşe Gündoğdu", "AYSE GUNDOGDU"),
        ("Anna O'Brien", "anna obrien"),
        ("Anna Obrien", "Anna O’Brien"),
        ("O\u02bbtkir Qodirov", "o'tkir qodirov"),
        ("Зиновия Перова", "Zinoviya Perova"),
        ("李明", "会议由李明主持"),
        ("דן כהן", "נפגשו עם ודן כהן"),
        ("محمد علي", "اجتمع مع مُحَمَّد عَلِي"),
    ],
)
def test_a_name_is_found_as_people_write_it(name: str, text: str):
    assert found([name], text)
    assert found(["Nobody Else", name], text, piece=3, overlap=200)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Li Na", "Kali Nardo, Ali Nadi"),
        ("Zenobia Quillfeather", "Zenobia came, and Quillfeather stayed"),
        ("Zenobia Quillfeather", "Zenobia Quillfeathering"),
        ("Ann Lee", "Joann Lee and Ann Leeds"),
        ("Anna", "Joanna"),
        ("Ann Lee", ""),
        ("?", "what? nobody?"),
    ],
)
def test_what_only_looks_like_a_name_is_not_found_wherever_the_text_is_cut(name: str, text: str):
    assert not found([name], text)
    for piece in range(1, 30):
        assert not found([name], text, piece, overlap=piece)


def test_a_large_text_takes_little_memory_beside_itself():
    content = ("Les négociations étaient closes. " * 40_000).encode() + b"Zenobia Quillfeather"
    tracemalloc.start()
    try:
        assert Spellings(["Zenobia Quillfeather"]).are_in(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20
