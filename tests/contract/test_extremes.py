"""What was accepted can be projected and read, however extreme: every field of every command at the most it may hold.

The values are made from the types that commands are checked against, so that a new field is tried without being named
here. Where an entry would be too large for the log, arrays are shortened until it is taken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pycountry
import pytest
from msgspec import inspect

from events.catalogue import COMMANDS, CommandType
from events.entry import canonical
from events.forms import pattern_of
from projections import LISTED
from services.registry.api.commands import ROUTES
from services.registry.ids import new_id
from tests.contract.test_transitions import a_visit
from tests.support.service import Service
from tests.support.world import TEXT, source

pytestmark = pytest.mark.long

WORDS = list("abcdefghijklmnopqrstuvwxyz0123456789 ")
ALPHABETS = {
    "four bytes each, that no index can compress": [chr(one) for one in range(0x20000, 0x2A000)],
    "longer in lower case and in ASCII": [*"ΐΰῢῧῷ", *(chr(one) for one in (0x1FAF0, 0x1FAE2, 0x1F4A0, 0xFDFA, 0xFDFB))],
}
DATES = [
    *("0001-01-01", "9999-12-31", "../0001-01-01", "9999-12-31/..", "../9999-12-31", "0001-01-01/.."),
    *("99XX", "0001-22", "9999-24", "0001-01-01/9999-12-31", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59"),
]
FORMS = {"^[a-z0-9]+": WORDS[:-1], "^[A-Za-z0-9][": WORDS[:-1], "^[0-9a-f]{64}$": list("0123456789abcdef")}
GIVEN = {"^[A-Z]{2}$": "AZ", "^[A-Za-z]{2,": "abcdefgh-abcdefgh-abcdefgh-abcdefgh", "^[a-z0-9][a-": "text/plain"}
"""Of texts in a form of their own: the characters that may stand anywhere in some, and an example of others."""
REFUSED = {"date-not-reached", "entry-too-large"}


class Extremes:
    """The most that types may hold; texts are of some alphabet, ids of things that there are."""

    def __init__(self, alphabet: list[str], dates: list[str]) -> None:
        self._alphabet = alphabet
        self._dates = dates
        self._random = random.Random(7)
        self.ids: dict[str, list[str]] = {}

    def text(self, length: int) -> str:
        return "x" + "".join(self._random.choice(self._alphabet) for _ in range(length - 2)) + "x"

    def of(self, kind: inspect.Type) -> Iterator[Any]:
        """Yield extreme values of a type: one, or one after another where several are."""
        match kind:
            case inspect.Metadata(type=inspect.StrType() as text):
                yield self._str(text, pattern_of(kind) or "")
            case inspect.Metadata():
                yield from self.of(kind.type)
            case inspect.UnionType():
                yield from self.of(next(one for one in kind.types if not isinstance(one, inspect.NoneType)))
            case inspect.IntType():
                yield len(TEXT) if kind.le == 100_000_000 else kind.le  # an offset into the text
            case inspect.LiteralType():
                yield kind.values[-1]
            case inspect.CustomType():
                yield from self._dates
            case inspect.VarTupleType():
                yield self._array(kind.item_type, kind.max_length or 300)
            case inspect.StructType():
                yield {
                    field.encode_name: 0 if field.name == "start" else next(self.of(field.type))
                    for field in kind.fields
                    if field.encode_name not in ("topic_id", "milestone_id")
                }
            case _:
                raise AssertionError(f"nothing is known of {kind}")

    def _array(self, item: inspect.Type, most: int) -> list[Any]:
        known = self.ids.get(_prefix(pattern_of(item) or ""), []) if isinstance(item, inspect.Metadata) else []
        if isinstance(item, inspect.Metadata) and (item.extra or {}).get("kind") == "country":
            known = [country.alpha_2 for country in pycountry.countries]
        items: list[Any] = list(known[:most]) if known else [next(self.of(item)) for _ in range(most)]
        if isinstance(item, inspect.StructType) and "party" in (names := {one.name for one in item.fields}):
            assert names == {"party", "person", "role"}
            for number, one in enumerate(items):
                one["party"] = self.ids["party"][number % len(self.ids["party"])]
        return items

    def _str(self, kind: inspect.StrType, pattern: str) -> str:
        if prefix := _prefix(pattern):
            return self.ids[prefix][-1]
        most = kind.max_length or 64
        if r"\u0000" in pattern:
            return "https://" + self.text(most - 8).replace(" ", "x") if "https?" in pattern else self.text(most)
        for form, characters in FORMS.items():
            if pattern.startswith(form):
                return "".join(self._random.choice(characters) for _ in range(most))
        return GIVEN[pattern[:12]]


def _prefix(pattern: str) -> str:
    found = re.match(r"\^([a-z]+)_\[0-7\]", pattern)
    return found[1] if found else ""


class Telling:
    """Records commands at their extremes, each upon things of its own where it can be done only once."""

    def __init__(self, service: Service, extremes: Extremes) -> None:
        self.service = service
        self.extremes = extremes
        self.recorded: set[tuple[str, str]] = set()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self.service.post(path, body)
        return answer

    async def begin(self) -> None:
        ids = self.extremes.ids
        ids["src"] = [(await self.post("/v1/sources", source(await self.service.file(TEXT))))["id"]]
        party = {"kind": "company", "country": "AZ"}
        ids["party"] = [(await self.post("/v1/parties", {**party, "name": f"P{n}"}))["id"] for n in range(100)]
        ids["person"] = [(await self.post("/v1/people", {"name": "Ada"}))["id"]]
        show = {"name": "Show", "kind": "forum", "place": {"country": "AZ"}, "dates": "2019"}
        ids["occ"] = [(await self.post("/v1/occasions", show))["id"]]
        ids["coop"] = [await self.a_cooperation()]
        topic = {"topic": {"kind": "dialogue", "subject": "talks"}}
        address = f"/v1/cooperations/{ids['coop'][0]}"
        ids["topic"] = [(await self.post(f"{address}/topics", topic))["id"] for _ in range(100)]
        both = [{"party": one} for one in ids["party"][:2]]
        ids["meeting"] = [(await self.post(f"{address}/meetings", {"held": "2019", "participants": both}))["id"]]

    async def a_cooperation(self) -> str:
        parties = self.extremes.ids["party"]
        return (await self.post("/v1/cooperations", {"title": "All", "parties": parties}))["id"]

    def least(self) -> dict[str, dict[str, Any]]:
        """What a command has to say at the least."""
        one, other, *_ = self.extremes.ids["party"]
        both = [{"party": one}, {"party": other}]
        place = {"country": "AZ"}
        occasion = {"name": "Show", "kind": "forum", "place": place, "dates": "2019"}
        why = {"authority": "the court", "reason": "asked"}
        agreement = {"kind": "contract", "subject": "parts"}
        return {
            "register-party": {"name": "Party", "kind": "company", "country": "FR"},
            "rename-party": {"name": "Other"},
            "amend-party": {"kind": "agency", "country": "FR"},
            "merge-party": {"into": one, "reason": "one"},
            "register-person": {"name": "Ada"},
            "appoint-person": {"party": one, "post": "head"},
            "leave-post": {"party": one, "post": "head"},
            "erase-person": why,
            "announce-occasion": occasion,
            "send-delegation": {"party": one},
            "amend-occasion": {**occasion, "name": "Other"},
            "cancel-occasion": {"reason": "no"},
            "file-source": source("0" * 64),
            "withdraw-source": why,
            "open-cooperation": {"title": "New", "parties": [one, other]},
            "raise-topic": {"topic": {"kind": "dialogue", "subject": "talks"}},
            "record-meeting": {"held": "2019", "participants": both},
            "record-negotiations": {"held": "2019", "subject": "terms"},
            "agree-roadmap": {"agreed": "2019"},
            "meet-milestone": {"met": "2019"},
            "miss-milestone": {"reason": "late"},
            "reschedule-milestone": {"due": "2031"},
            "schedule-visit": {
                "visitors": both[:1],
                "host": other,
                "place": place,
                "window": "2018",
                "purpose": "to see",
            },
            "reschedule-visit": {"window": "2031"},
            "cancel-visit": {"reason": "no"},
            "record-visit": {"held": "2019", "participants": both},
            "schedule-round": {"place": place, "participants": both, "subject": "talks"},
            "reschedule-round": {"window": "2031"},
            "cancel-round": {"reason": "no"},
            "record-round": {"held": "2019", "participants": both},
            "reach-agreement": {**agreement, "reached": "2018"},
            "amend-agreement": {**agreement, "amended": "2020"},
            "terminate-agreement": {"terminated": "2020", "reason": "over"},
            **{f"{verb}-cooperation": {"reason": "so"} for verb in ("suspend", "resume", "conclude", "abandon")},
        }

    async def address(self, name: str, body: dict[str, Any]) -> str:
        """Return where a command is sent, to a thing that is new where it may be done only once."""
        least = self.least()
        coop = self.extremes.ids["coop"][0]
        path = ROUTES[name].path
        ids: dict[str, str] = {"id": coop}
        if name.endswith("-cooperation") and name != "open-cooperation":
            ids["id"] = await self.a_cooperation()
            if name == "resume-cooperation":
                await self.post(f"/v1/cooperations/{ids['id']}/suspend", {"reason": "so"})
        for kind, opener in (
            ("parties", "register-party"),
            ("people", "register-person"),
            ("occasions", "announce-occasion"),
            ("sources", "file-source"),
        ):
            if path.startswith(f"/v1/{kind}/{{id"):
                ids["id"] = (await self.post(f"/v1/{kind}", least[opener]))["id"]
        if name == "leave-post":
            held = {"party": body["party"], "post": body["post"]}
            await self.post(f"/v1/people/{ids['id']}/appoint", held)
        for kind, maker in (
            ("visit", "schedule-visit"),
            ("round", "schedule-round"),
            ("agreement", "reach-agreement"),
        ):
            if f"{{{kind}_id" in path:
                ids[f"{kind}_id"] = (await self.post(f"/v1/cooperations/{coop}/{kind}s", least[maker]))["id"]
        if "{milestone_id" in path:
            ids["milestone_id"] = new_id("milestone")
            milestones = [{"milestone_id": ids["milestone_id"], "title": "First"}]
            body = {"agreed": "2019", "milestones": milestones}
            ids["roadmap_id"] = (await self.post(f"/v1/cooperations/{coop}/roadmaps", body))["id"]
        return re.sub(r"\{(\w+):str\}", lambda found: ids[found[1]], path)

    async def tell(self, name: str, command: CommandType) -> None:
        """Record a command once for each extreme of each of its fields, and once with all of them."""
        least = self.least()[name]
        skipped = {*command.targets, *(command.identifies if len(command.identifies) == 1 else ())}
        info = inspect.type_info(command.body)
        assert isinstance(info, inspect.StructType)
        fields = [field for field in info.fields if field.encode_name not in skipped]
        for field in fields:
            for value in self.extremes.of(field.type):
                if await self._record(name, {**least, field.encode_name: value}):
                    self.recorded.add((name, field.encode_name))
        longest = {field.encode_name: next(self.extremes.of(field.type)) for field in fields}
        assert await self._record(name, longest)

    async def _record(self, name: str, body: dict[str, Any]) -> bool:
        while True:
            answer = await self.service.client.post(await self.address(name, body), json=body)
            if answer.status_code == 201:
                return True
            told = answer.json()
            assert told["code"] in REFUSED, (name, answer.text)
            if told["code"] == "date-not-reached":
                return False
            body, before = _shorter(body), body
            assert canonical.encode(body) != canonical.encode(before), answer.text


def _shorter(value: Any) -> Any:
    """Return a body whose arrays have a fifth less in them."""
    if isinstance(value, list):
        return [_shorter(one) for one in value[: max(2, len(value) * 4 // 5)]]
    if isinstance(value, dict):
        return {key: _shorter(one) for key, one in value.items()}
    return value


async def everything_at_its_extremes(service: Service, extremes: Extremes) -> None:
    telling = Telling(service, extremes)
    await telling.begin()
    for name, (_, command) in COMMANDS.items():
        await telling.tell(name, command)
    assert {name for name, _ in telling.recorded} == set(COMMANDS)
    size = (await service.parts.log.head()).size
    for model in LISTED:
        page = await service.get(f"/v1/{model.name}", min_size=size, limit=100)
        while page["next"]:
            page = await service.get(f"/v1/{model.name}", limit=100, cursor=page["next"])
    for address in (f"/v1/cooperations/{extremes.ids['coop'][0]}", f"/v1/parties/{extremes.ids['party'][0]}"):
        assert (await service.get(f"{address}/timeline", limit=500))["items"]
    assert (await service.get("/v1/search", q="talks"))["items"]


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
async def test_whatever_was_accepted_is_projected_and_read(service: Service, alphabet: list[str]) -> None:
    await everything_at_its_extremes(service, Extremes(alphabet, ["2019"]))


@pytest.mark.parametrize(("day", "asked"), [("9999-12-31", "window_from"), ("0001-01-01", "window_to")])
async def test_what_is_due_on_the_first_or_the_last_day_that_there_is_is_found(service: Service, day: str, asked: str):
    cooperation, visit, _, _ = await a_visit(service)
    await service.post(
        f"/v1/cooperations/{cooperation}/visits/{visit}/reschedule", {"window": day, "reason": "as far as it goes"}
    )
    for certain in ("false", "true"):
        query: dict[str, Any] = {asked: day, "certain": certain}
        found = (await service.get("/v1/visits", **query))["items"]
        assert [one["id"] for one in found] == [visit]


async def test_dates_at_the_ends_of_the_calendar_are_projected_and_counted(service: Service) -> None:
    await everything_at_its_extremes(service, Extremes(WORDS, DATES))
    months = [item["key"] for item in (await service.get("/v1/statistics", by="month"))["items"]]
    assert {months[0], months[-1]} == {"0001-01", "9999-12"}
    for by in ("country", "field", "stage"):
        assert (await service.get("/v1/statistics", by=by))["items"]
    answer = await service.client.get("/v1/calendar.ics")
    assert answer.status_code == 200, answer.text
    assert answer.text.count("DTSTART;VALUE=DATE:00010101") > 0
