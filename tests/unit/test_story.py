from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from events.catalogue import COMMANDS
from events.edtf import EdtfDate
from services.registry.bodies import read
from services.registry.ids import is_id
from services.registry.sample import report, story
from services.registry.sample.telling import MINISTRY, sample_id
from tests.support.shared import shared_path

TEXT = report.load()
REQUESTS = story.requests(TEXT)
COMMANDS_TOLD = [command for request in REQUESTS for command in request.commands]
PERSONAL = ("Farrukh", "Vezirov", "Thomas", "Lorne")

NAMES = (
    "CS Communication & Systèmes",
    r"Turkish Aerospace Industries, Inc\. \(TAI\)",
    "Lacroix Group",
    "International Cooperation Department",
    "Ministry of Defen[cs]e Industry",
    "Ministry of Defen[cs]e",
    "Farrukh Vezirov",
    "Thomas Lorne",
    "Paris Air Show",
    *("Nexter", "Thales", "Leonardo", "Airbus", "Azerbaijan", "Azerbaijani", "Paris", "Baku", "Trend", "June", "July"),
)


def said(command: str) -> list[dict[str, Any]]:
    return [one["data"] for one in COMMANDS_TOLD if one["command"] == command]


def quotations(data: dict[str, Any]) -> list[str]:
    return [TEXT.text[cited["start"] : cited["end"]] for cited in data["citations"]]


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in value.values():
                yield from strings(one)
        case list():
            for one in value:
                yield from strings(one)
        case _:
            pass


def test_every_event_cites_and_what_it_cites_are_whole_sentences():
    sentences = {TEXT.text[start:end] for start, end in TEXT.sentences()}
    for command in COMMANDS_TOLD:
        assert quotations(command["data"]), command["command"]
        for quotation in quotations(command["data"]):
            assert quotation in sentences
            assert quotation == quotation.strip()
            assert quotation.endswith(".")


def test_every_sentence_is_cited():
    cited = {quotation for command in COMMANDS_TOLD for quotation in quotations(command["data"])}
    assert {TEXT.text[start:end] for start, end in TEXT.sentences()} == cited


def test_a_line_is_one_sentence():
    assert len(TEXT.sentences()) == 15
    for start, end in TEXT.sentences():
        assert not re.search(r"[.!?] [A-Z]", TEXT.text[start:end].replace("Inc. ", "Inc "))


def test_a_sentence_is_found_by_words_that_stand_in_no_other():
    assert TEXT.text[slice(*TEXT.find("roadmap"))] == (
        "For carrying out these projects, the two sides settled on a roadmap."
    )
    with pytest.raises(LookupError, match="0 sentences"):
        TEXT.find("treaty")
    with pytest.raises(LookupError, match="3 sentences"):
        TEXT.find("Nexter")


def test_all_commands_are_in_order_before_anything_is_looked_up():
    for request in REQUESTS:
        for asked in request.asked():
            body = read(asked)
            assert body.problems == ()
            assert body.classification == "public"
            body.value()


def test_ids_are_fixed_and_none_names_two_things():
    opened = [one["subject"] for one in COMMANDS_TOLD if COMMANDS[one["command"]][1].opens]
    within = [one["data"]["id"] for one in COMMANDS_TOLD if "id" in one["data"]]
    topics = [one["topic"]["topic_id"] for one in said("raise-topic")]
    assert not [one for one, times in Counter([*opened, *within, *topics]).items() if times > 1]
    assert is_id("party", MINISTRY)
    assert MINISTRY == "party_01ddpggy00e008000000000001"
    assert [request.key for request in REQUESTS] == [request.key for request in story.requests(report.load())]


def test_no_free_text_has_a_persons_name_in_it():
    for command in COMMANDS_TOLD:
        data = dict(command["data"])
        if command["command"] == "register-person":
            assert data.pop("name") in {"Farrukh Vezirov", "Thomas Lorne"}
        assert not [text for text in strings(data) for name in PERSONAL if name in text]


def test_what_the_table_of_statements_asks_for_is_told():
    told = Counter(one["command"] for one in COMMANDS_TOLD)
    assert told == {
        "file-source": 1,
        "announce-occasion": 1,
        "send-delegation": 1,
        "register-party": 10,  # two ministries, a department, seven companies
        "register-person": 2,
        "appoint-person": 2,
        "open-cooperation": 8,
        "raise-topic": 11,
        "record-meeting": 7,
        "record-negotiations": 3,
        "agree-roadmap": 1,
        "schedule-visit": 1,
        "reach-agreement": 1,
        "schedule-round": 1,
    }
    assert sum(one["topic"]["subject"] == "Military-technical cooperation" for one in said("raise-topic")) == 5


def test_dates_are_as_uncertain_as_they_were_stated():
    (visit,) = said("schedule-visit")
    assert visit["window"] == "2019-07"
    (next_round,) = said("schedule-round")
    assert "window" not in next_round
    (occasion,) = said("announce-occasion")
    assert occasion["dates"] == "2019-06/2019-06-23"
    held = {one["held"] for one in [*said("record-meeting"), *said("record-negotiations")]}
    held |= {one["agreed"] for one in said("agree-roadmap")} | {one["reached"] for one in said("reach-agreement")}
    (when,) = held
    assert str(EdtfDate.parse(when).latest) == "2019-06-19"
    assert str(EdtfDate.parse(when).earliest) == "2019-06-01"


def test_a_company_that_the_report_takes_for_french_is_turkish_and_a_note_says_so():
    (tai,) = [one for one in said("register-party") if one["name"].startswith("Turkish")]
    assert tai["country"] == "TR"
    assert "French" in tai["note"]


def test_roles_stand_on_participations():
    roles = {whom["role"] for one in said("record-meeting") for whom in one["participants"]}
    assert roles == {"adviser", "management", "representatives", "head"}
    (visit,) = said("schedule-visit")
    assert visit["visitors"] == [{"party": sample_id("party", story.NEXTER), "role": "experts"}]
    (next_round,) = said("schedule-round")
    assert {whom["role"] for whom in next_round["participants"]} == {"experts"}


def test_the_story_can_be_imported_line_by_line():
    lines = list(story.lines(TEXT))
    assert len(lines) == len(REQUESTS)
    for line, request in zip(lines, REQUESTS, strict=True):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert json.loads(line) == {"key": request.key, "commands": list(request.commands)}


def test_the_report_is_retold_and_not_copied():
    original = shared_path("sources", "paris-air-show-2019.txt").read_text(encoding="utf-8")
    copied = runs(original, 6) & runs(TEXT.text, 6)
    assert not copied, sorted(copied)


def test_every_name_and_number_of_the_report_is_retold():
    original = shared_path("sources", "paris-air-show-2019.txt").read_text(encoding="utf-8")
    for name in [*NAMES, "19", "23", "2019"]:
        if re.search(rf"\b{name}(?!\w)", original):
            assert re.search(rf"\b{name}(?!\w)", TEXT.text), name


def runs(text: str, length: int) -> set[str]:
    """Return all runs of so many words, none of which is a name."""
    for name in NAMES:
        text = re.sub(rf"\b{name}(?!\w)", "|", text)
    found: set[str] = set()
    for part in text.lower().split("|"):
        words = re.findall(r"[\w'-]+", part)
        found |= {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}
    return found
