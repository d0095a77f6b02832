"""Whatever clients ask for, in whatever order: history obeys its rules, and every read is one of that history.

Hypothesis sends commands, corrections, retractions and mergers over several streams, sensible or not. Each is recorded
or refused by name. After each run the oracle re-verifies the log and holds the live read models against a rebuild; and
each list, as of every size at which it was read, is given again as it was.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from projections import LISTED
from tests.support.check_log import check_log
from tests.support.check_references import what_is_referred_to_is_there
from tests.support.cluster import Cluster
from tests.support.service import Service, running

REFUSALS = {404, 409, 412, 422}
DATES = st.sampled_from(["2019-06-18", "2019-06", "2019?", "2019-06/2019-07", "2030-01-01", "2019-13"])
TEXTS = st.sampled_from(["radars", "délais", "a second thought"])
COUNTRIES = st.sampled_from(["AZ", "FR", "IT"])


class Machine(RuleBasedStateMachine):
    """One registry, and what its clients know of it."""

    parties: Bundle[str] = Bundle("parties")
    people: Bundle[str] = Bundle("people")
    cooperations: Bundle[tuple[str, str, str]] = Bundle("cooperations")
    visits: Bundle[tuple[str, str]] = Bundle("visits")
    milestones: Bundle[str] = Bundle("milestones")

    def __init__(self, start: Callable[[AsyncExitStack], Coroutine[Any, Any, Service]]) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._service = self._runner.run(start(self._stack))
        self._read: dict[int, dict[str, Any]] = {}
        self._originals: dict[int, dict[str, Any]] = {}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Post a body: what was recorded, or None for what was refused, which has to be by name."""
        answer = self._runner.run(self._service.client.post(path, json=body))
        told: dict[str, Any] = answer.json()
        if answer.status_code in REFUSALS:
            assert told["code"] not in ("internal", "error"), told
            return None
        assert answer.status_code == 201, answer.text
        self._originals[told["entries"][0]["position"]] = body
        return told

    @initialize(target=parties)
    def begin(self) -> Any:
        bodies = [{"name": name, "kind": "company", "country": "FR"} for name in ("One", "Two", "Three")]
        told = [self._post("/v1/parties", body) for body in bodies]
        return multiple(*(one["id"] for one in told if one))

    @rule(target=parties, name=TEXTS, country=COUNTRIES, part_of=st.none() | parties)
    def register_party(self, name: str, country: str, part_of: str | None) -> Any:
        told = self._post("/v1/parties", {"name": name, "kind": "agency", "country": country, "part_of": part_of})
        return told["id"] if told else multiple()

    @rule(party=parties, name=TEXTS)
    def rename_party(self, party: str, name: str) -> None:
        self._post(f"/v1/parties/{party}/rename", {"name": name})

    @rule(party=parties, country=COUNTRIES, part_of=st.none() | parties)
    def amend_party(self, party: str, country: str, part_of: str | None) -> None:
        self._post(f"/v1/parties/{party}/amend", {"kind": "company", "country": country, "part_of": part_of})

    @rule(party=parties, into=parties)
    def merge_party(self, party: str, into: str) -> None:
        self._post(f"/v1/parties/{party}/merge", {"into": into, "reason": "the same"})

    @rule(target=people, name=TEXTS)
    def register_person(self, name: str) -> Any:
        told = self._post("/v1/people", {"name": name})
        return told["id"] if told else multiple()

    @rule(person=people, party=parties, verb=st.sampled_from(["appoint", "leave-post"]))
    def change_post(self, person: str, party: str, verb: str) -> None:
        self._post(f"/v1/people/{person}/{verb}", {"party": party, "post": "adviser"})

    @rule(person=consumes(people))
    def erase_person(self, person: str) -> None:
        self._post(f"/v1/people/{person}/erase", {"authority": "the court", "reason": "asked"})

    @rule(target=cooperations, title=TEXTS, one=parties, other=parties)
    def open_cooperation(self, title: str, one: str, other: str) -> Any:
        told = self._post("/v1/cooperations", {"title": title, "parties": [one, other], "fields": ["aerospace"]})
        return (told["id"], one, other) if told else multiple()

    @rule(cooperation=cooperations, held=DATES, third=parties)
    def record_meeting(self, cooperation: tuple[str, str, str], held: str, third: str) -> None:
        key, one, other = cooperation
        participants = [{"party": party} for party in (one, other, third)]
        self._post(f"/v1/cooperations/{key}/meetings", {"held": held, "participants": participants[:2]})
        self._post(f"/v1/cooperations/{key}/meetings", {"held": held, "participants": participants})

    @rule(target=milestones, cooperation=cooperations, agreed=DATES, due=DATES)
    def agree_roadmap(self, cooperation: tuple[str, str, str], agreed: str, due: str) -> Any:
        address = f"/v1/cooperations/{cooperation[0]}/roadmaps"
        told = self._post(address, {"agreed": agreed, "milestones": [{"title": "First", "due": due}]})
        if told is None:
            return multiple()
        entry = self._runner.run(self._service.client.get(f"/v1/log/entries/{told['entries'][0]['position']}")).json()
        milestone = entry["data"]["milestones"][0]["milestone_id"]
        return f"{address}/{told['id']}/milestones/{milestone}"

    @rule(milestone=milestones, when=DATES, verb=st.sampled_from(["meet", "miss", "reschedule"]))
    def change_milestone(self, milestone: str, when: str, verb: str) -> None:
        bodies = {"meet": {"met": when}, "miss": {"reason": "late"}, "reschedule": {"due": when}}
        self._post(f"{milestone}/{verb}", bodies[verb])

    @rule(target=visits, cooperation=cooperations, window=DATES, country=COUNTRIES)
    def schedule_visit(self, cooperation: tuple[str, str, str], window: str, country: str) -> Any:
        key, one, other = cooperation
        body = {"visitors": [{"party": one}], "host": other, "place": {"country": country}, "window": window}
        told = self._post(f"/v1/cooperations/{key}/visits", {**body, "purpose": "to go on"})
        return (f"/v1/cooperations/{key}/visits/{told['id']}", other) if told else multiple()

    @rule(visit=visits, when=DATES, verb=st.sampled_from(["reschedule", "cancel", "held"]), also=parties)
    def change_visit(self, visit: tuple[str, str], when: str, verb: str, also: str) -> None:
        address, host = visit
        held = {"held": when, "participants": [{"party": host}, {"party": also}]}
        bodies = {"reschedule": {"window": when}, "cancel": {"reason": "no"}, "held": held}
        self._post(f"{address}/{verb}", bodies[verb])

    @rule(cooperation=cooperations, verb=st.sampled_from(["suspend", "resume", "conclude", "abandon"]))
    def change_standing(self, cooperation: tuple[str, str, str], verb: str) -> None:
        self._post(f"/v1/cooperations/{cooperation[0]}/{verb}", {"reason": "so it was decided"})

    @rule(data=st.data(), text=TEXTS, when=DATES)
    def correct(self, data: st.DataObject, text: str, when: str) -> None:
        position = data.draw(st.sampled_from(sorted(self._originals)))
        body = self._originals[position]
        if "replacement" in body:
            body = body["replacement"]
        dated = {field: when for field in ("held", "window", "agreed", "met", "due") if field in body}
        named = {field: text for field in ("name", "title", "reason") if field in body}
        told = {"replacement": {**body, **dated, **named}, "reason": "it was written down wrongly"}
        self._post(f"/v1/log/entries/{position}/correct", told)

    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(sorted(self._originals)))
        self._post(f"/v1/log/entries/{position}/retract", {"reason": "it never was"})

    @rule()
    def read(self) -> None:
        size, read = self._runner.run(self._lists(None))
        self._read[size] = read

    async def _lists(self, as_of: int | None) -> tuple[int, dict[str, Any]]:
        size = as_of if as_of is not None else (await self._service.parts.log.head()).size
        read: dict[str, Any] = {}
        for model in LISTED:
            page = await self._service.get(f"/v1/{model.name}", as_of=str(size), limit=500)
            read[model.name] = _without_people(page)
        return size, read

    def teardown(self) -> None:
        try:
            for size, read in self._read.items():
                assert self._runner.run(self._lists(size))[1] == read, f"as of {size} something else is read now"
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()


def _without_people(page: Any) -> Any:
    """Leave out what an erasure takes away at every size: names and contacts."""
    if isinstance(page, dict):
        return {
            key: _without_people(value)
            for key, value in page.items()
            if key not in ("name", "contact") and not key.startswith("person_")
        }
    return [_without_people(one) for one in page] if isinstance(page, list) else page


def test_history_obeys_its_rules_and_every_read_is_of_it(cluster: Cluster) -> None:
    async def start(stack: AsyncExitStack) -> Service:
        database = stack.enter_context(cluster.database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.push_async_callback(check_log, database.admin_dsn, [what_is_referred_to_is_there])
        return await stack.enter_async_context(running(database, folder))

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    how = settings(max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(cast("type[Machine]", lambda: Machine(start)), settings=how)
