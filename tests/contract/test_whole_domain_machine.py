"""Whatever clients ask for, in whatever order: history obeys its rules, and every read is one of that history.

Hypothesis sends commands, corrections, retractions and mergers over several streams, sensible or not. Each is recorded
or refused by name. After each run the oracle re-verifies the log and holds the live read models against a rebuild; and
each list, timeline, search and statistic, as of every size at which it was read, is given again as it was.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from projections import LISTED
from services.registry.api.overviews import BY
from tests.support.check_log import check_log
from tests.support.check_references import what_is_referred_to_is_there
from tests.support.cluster import Cluster
from tests.support.service import Service, running
from tests.support.spec import made_id
from tests.support.world import source

pytestmark = pytest.mark.long

REFUSALS = {404, 409, 412, 422}
DATES = st.sampled_from(["2019-06-18", "2019-06", "2019?", "2019-06/2019-07", "2030-01-01", "2019-13"])
TEXTS = st.sampled_from(["radars", "délais", "a second thought"])
COUNTRIES = st.sampled_from(["AZ", "FR", "IT"])
DATED = ("held", "window", "agreed", "met", "due", "reached", "amended", "terminated", "dates", "published")
NAMED = ("name", "title", "subject", "purpose", "reason")
READS = 5  # of everything, in one run: each is done twice
DOCUMENTS = ("They met and agreed. ", "Délais were talked about.")


class Machine(RuleBasedStateMachine):
    """One registry, and what its clients know of it."""

    parties: Bundle[str] = Bundle("parties")
    people: Bundle[str] = Bundle("people")
    cooperations: Bundle[tuple[str, str, str]] = Bundle("cooperations")
    visits: Bundle[tuple[str, str]] = Bundle("visits")
    milestones: Bundle[str] = Bundle("milestones")
    topics: Bundle[tuple[tuple[str, str, str], str]] = Bundle("topics")
    rounds: Bundle[tuple[str, str, str]] = Bundle("rounds")
    agreements: Bundle[str] = Bundle("agreements")
    occasions: Bundle[str] = Bundle("occasions")
    sources: Bundle[str] = Bundle("sources")

    def __init__(self, start: Callable[[AsyncExitStack], Coroutine[Any, Any, Service]]) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._service = self._runner.run(start(self._stack))
        self._read: dict[int, dict[str, Any]] = {}
        self._originals: dict[int, dict[str, Any]] = {}
        self._documents = [self._runner.run(self._service.file(text)) for text in DOCUMENTS]
        self._made = 0  # ids, for batches
        self._first = self._begun()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Post a body: what was recorded, or None for what was refused, which has to be by name."""
        answer = self._runner.run(self._service.client.post(path, json=body))
        told: dict[str, Any] = answer.json()
        if answer.status_code in REFUSALS:
            assert told["code"] not in ("internal", "error"), told
            return None
        assert answer.status_code == 201, answer.text
        results, bodies = told.get("results", [told]), [one["data"] for one in body.get("commands", ())] or [body]
        for result, recorded in zip(results, bodies, strict=True):
            self._originals[result["entries"][0]["position"]] = recorded
        return told

    def _begun(self) -> dict[str, Any]:
        """A cooperation with one of everything in it, so that changes find something from the first step on."""
        bodies = [{"name": name, "kind": "company", "country": "FR"} for name in ("One", "Two", "Three")]
        parties = [self._must("/v1/parties", body)["id"] for body in bodies]
        both = parties[:2]
        participants = [{"party": party} for party in both]
        key = self._must("/v1/cooperations", {"title": "radars", "parties": both, "fields": ["aerospace"]})["id"]
        on = f"/v1/cooperations/{key}"
        topic = self._must(f"{on}/topics", {"topic": {"kind": "dialogue", "subject": "radars"}})["id"]
        contract = {"kind": "contract", "subject": "radars", "reached": "2019", "topics": [topic]}
        talks = {"place": {"country": "AZ"}, "participants": participants, "subject": "next"}
        visit = {"visitors": participants[:1], "host": both[1], "place": {"country": "AZ"}, "window": "2019-07"}
        show = {"name": "Air Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019-06"}
        told = self._must(f"{on}/roadmaps", {"agreed": "2019", "milestones": [{"title": "First"}]})
        return {
            "parties": parties,
            "cooperation": (key, *both),
            "topic": ((key, *both), topic),
            "agreement": f"{on}/agreements/{self._must(f'{on}/agreements', contract)['id']}",
            "round": (f"{on}/rounds/{self._must(f'{on}/rounds', talks)['id']}", *both),
            "visit": (f"{on}/visits/{self._must(f'{on}/visits', {**visit, 'purpose': 'to go on'})['id']}", both[1]),
            "milestone": self._milestone(f"{on}/roadmaps", told),
            "occasion": self._must("/v1/occasions", show)["id"],
            "source": self._must("/v1/sources", source(self._documents[0], size=len(DOCUMENTS[0].encode())))["id"],
            "person": self._must("/v1/people", {"name": "radars"})["id"],
        }

    def _must(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        told = self._post(path, body)
        assert told is not None, path
        return told

    @initialize(target=parties)
    def begin_with_parties(self) -> Any:
        return multiple(*self._first["parties"])

    @initialize(target=cooperations)
    def begin_with_a_cooperation(self) -> Any:
        return self._first["cooperation"]

    @initialize(target=topics)
    def begin_with_a_topic(self) -> Any:
        return self._first["topic"]

    @initialize(target=agreements)
    def begin_with_an_agreement(self) -> Any:
        return self._first["agreement"]

    @initialize(target=rounds)
    def begin_with_a_round(self) -> Any:
        return self._first["round"]

    @initialize(target=visits)
    def begin_with_a_visit(self) -> Any:
        return self._first["visit"]

    @initialize(target=milestones)
    def begin_with_a_milestone(self) -> Any:
        return self._first["milestone"]

    @initialize(target=occasions)
    def begin_with_an_occasion(self) -> Any:
        return self._first["occasion"]

    @initialize(target=sources)
    def begin_with_a_source(self) -> Any:
        return self._first["source"]

    @initialize(target=people)
    def begin_with_a_person(self) -> Any:
        return self._first["person"]

    @rule(target=parties, name=TEXTS, country=COUNTRIES, part_of=st.none() | parties)
    def register_party(self, name: str, country: str, part_of: str | None) -> Any:
        told = self._post("/v1/parties", {"name": name, "kind": "agency", "country": country, "part_of": part_of})
        return told["id"] if told else multiple()

    @rule(target=sources, number=st.sampled_from(range(len(DOCUMENTS))), title=TEXTS, published=DATES)
    def file_source(self, number: int, title: str, published: str) -> Any:
        size = len(DOCUMENTS[number].encode())
        told = self._post("/v1/sources", source(self._documents[number], title=title, published=published, size=size))
        return told["id"] if told else multiple()

    @rule(source=sources)
    def withdraw_source(self, source: str) -> None:
        self._post(f"/v1/sources/{source}/withdraw", {"authority": "the publisher", "reason": "by mistake"})

    @rule(target=parties, name=TEXTS, source=sources, end=st.integers(1, 40))
    def register_party_with_a_citation(self, name: str, source: str, end: int) -> Any:
        body = {"name": name, "kind": "ministry", "country": "AZ"}
        told = self._post("/v1/parties", {**body, "citations": [{"source": source, "start": 0, "end": end}]})
        return told["id"] if told else multiple()

    @rule(target=occasions, name=TEXTS, dates=DATES, country=COUNTRIES, organiser=st.none() | parties)
    def announce_occasion(self, name: str, dates: str, country: str, organiser: str | None) -> Any:
        body = {"name": name, "kind": "exhibition", "place": {"country": country}, "dates": dates}
        told = self._post("/v1/occasions", {**body, "organiser": organiser})
        return told["id"] if told else multiple()

    @rule(occasion=occasions, verb=st.sampled_from(["amend", "cancel", "delegations"]), dates=DATES, party=parties)
    def change_occasion(self, occasion: str, verb: str, dates: str, party: str) -> None:
        amended = {"name": "Air Show", "kind": "forum", "place": {"country": "IT"}, "dates": dates}
        sent = {"party": party, "participants": [{"party": party, "role": "experts"}]}
        bodies = {"amend": amended, "cancel": {"reason": "no"}, "delegations": sent}
        self._post(f"/v1/occasions/{occasion}/{verb}", bodies[verb])

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

    @rule(target=topics, cooperation=cooperations, subject=TEXTS, country=COUNTRIES)
    def raise_topic(self, cooperation: tuple[str, str, str], subject: str, country: str) -> Any:
        topic = {"kind": "dialogue", "subject": subject, "territory": [country], "products": ["radars"]}
        told = self._post(f"/v1/cooperations/{cooperation[0]}/topics", {"topic": topic})
        return (cooperation, told["id"]) if told else multiple()

    @rule(topic=topics, held=DATES, subject=TEXTS)
    def hold_negotiations(self, topic: tuple[tuple[str, str, str], str], held: str, subject: str) -> None:
        (key, *_), about = topic
        body = {"held": held, "subject": subject, "topics": [about]}
        self._post(f"/v1/cooperations/{key}/negotiations", body)

    @rule(topic=topics, occasion=occasions, held=DATES)
    def meet_at_an_occasion(self, topic: tuple[tuple[str, str, str], str], occasion: str, held: str) -> None:
        (key, *both), about = topic
        participants = [{"party": party} for party in both]
        body = {"held": held, "participants": participants, "occasion": occasion, "topics": [about]}
        self._post(f"/v1/cooperations/{key}/meetings", {**body, "summary": "Radars were talked about."})

    @rule(target=rounds, cooperation=cooperations, window=st.none() | DATES, country=COUNTRIES, subject=TEXTS)
    def schedule_round(self, cooperation: tuple[str, str, str], window: str | None, country: str, subject: str) -> Any:
        key, one, other = cooperation
        body = {"place": {"country": country}, "participants": [{"party": one}, {"party": other}], "subject": subject}
        told = self._post(f"/v1/cooperations/{key}/rounds", {**body, "window": window})
        return (f"/v1/cooperations/{key}/rounds/{told['id']}", one, other) if told else multiple()

    @rule(which=rounds, when=DATES, verb=st.sampled_from(["reschedule", "cancel", "held"]))
    def change_round(self, which: tuple[str, str, str], when: str, verb: str) -> None:
        address, one, other = which
        held = {"held": when, "participants": [{"party": one}, {"party": other}], "outcome": "radars"}
        bodies = {"reschedule": {"window": when}, "cancel": {"reason": "no"}, "held": held}
        self._post(f"{address}/{verb}", bodies[verb])

    @rule(target=agreements, topic=topics, reached=DATES, subject=TEXTS, document=st.none() | sources)
    def reach_agreement(
        self, topic: tuple[tuple[str, str, str], str], reached: str, subject: str, document: str | None
    ) -> Any:
        (key, *_), about = topic
        body = {"kind": "contract", "subject": subject, "reached": reached, "topics": [about], "document": document}
        told = self._post(f"/v1/cooperations/{key}/agreements", body)
        return f"/v1/cooperations/{key}/agreements/{told['id']}" if told else multiple()

    @rule(agreement=agreements, verb=st.sampled_from(["amend", "terminate"]), when=DATES, subject=TEXTS)
    def change_agreement(self, agreement: str, verb: str, when: str, subject: str) -> None:
        bodies = {
            "amend": {"kind": "treaty", "subject": subject, "amended": when},
            "terminate": {"terminated": when, "reason": "over"},
        }
        self._post(f"{agreement}/{verb}", bodies[verb])

    @rule(target=cooperations, name=TEXTS, party=parties, held=DATES)
    def send_a_batch(self, name: str, party: str, held: str) -> Any:
        self._made += 1
        brought, key = made_id("party", self._made), made_id("coop", self._made)
        both = [party, brought]
        commands: list[dict[str, Any]] = [
            {"command": "register-party", "data": {"id": brought, "name": name, "kind": "company", "country": "IT"}},
            {"command": "open-cooperation", "data": {"id": key, "title": name, "parties": both}},
            {
                "command": "record-meeting",
                "subject": f"cooperation/{key}",
                "data": {"held": held, "participants": [{"party": one} for one in both]},
            },
        ]
        return (key, *both) if self._post("/v1/batch", {"commands": commands}) else multiple()

    @rule(target=milestones, cooperation=cooperations, agreed=DATES, due=DATES)
    def agree_roadmap(self, cooperation: tuple[str, str, str], agreed: str, due: str) -> Any:
        address = f"/v1/cooperations/{cooperation[0]}/roadmaps"
        told = self._post(address, {"agreed": agreed, "milestones": [{"title": "First", "due": due}]})
        return self._milestone(address, told) if told else multiple()

    def _milestone(self, roadmaps: str, told: dict[str, Any]) -> str:
        """Where the first milestone of a roadmap is changed."""
        entry = self._runner.run(self._service.client.get(f"/v1/log/entries/{told['entries'][0]['position']}")).json()
        return f"{roadmaps}/{told['id']}/milestones/{entry['data']['milestones'][0]['milestone_id']}"

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
        dated = {field: when for field in DATED if body.get(field) is not None}
        named = {field: text for field in NAMED if body.get(field) is not None}
        told = {"replacement": {**body, **dated, **named}, "reason": "it was written down wrongly"}
        self._post(f"/v1/log/entries/{position}/correct", told)

    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from(sorted(self._originals)))
        self._post(f"/v1/log/entries/{position}/retract", {"reason": "it never was"})

    @precondition(lambda self: len(self._read) < READS)
    @rule()
    def read(self) -> None:
        size, read = self._runner.run(self._everything(None))
        self._read[size] = read

    async def _everything(self, as_of: int | None) -> tuple[int, dict[str, Any]]:
        """Everything that can be read without an id, and the timelines of what there was then."""
        size = as_of if as_of is not None else (await self._service.parts.log.head()).size
        read: dict[str, Any] = {}

        async def ask(path: str, **query: Any) -> Any:
            answer = _lasting(await self._service.get(path, as_of=str(size), **query))
            read[f"{path} {query}"] = answer
            return answer

        for model in LISTED:
            page = await ask(f"/v1/{model.name}", limit=500)
            if model.name in ("parties", "cooperations"):
                for item in page["items"]:
                    await ask(f"/v1/{model.name}/{item['id']}/timeline", limit=500)
        for text in ("radars", "delais", "sec", "talked"):
            await ask("/v1/search", q=text, limit=500)
        for by in BY:
            await ask("/v1/statistics", by=by)
        return size, read

    def teardown(self) -> None:
        try:
            for size, read in self._read.items():
                again = self._runner.run(self._everything(size))[1]
                assert again.keys() == read.keys()
                for path in read:
                    assert again[path] == read[path], f"as of {size} {path} is something else now"
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()


def _lasting(page: Any) -> Any:
    """Leave out what erasures and withdrawals change at every size: details of people, and what citations quote."""
    if isinstance(page, dict):
        cites = "start" in page
        return {
            key: _lasting(value)
            for key, value in page.items()
            if key not in ("name", "contact", "quotation")
            and not key.startswith("person_")
            and not (cites and key == "withdrawn")
        }
    if isinstance(page, list):
        return [_lasting(one) for one in page if not (isinstance(one, dict) and one.get("kind") == "person")]
    return page


def test_history_obeys_its_rules_and_every_read_is_of_it(cluster: Cluster) -> None:
    async def start(stack: AsyncExitStack) -> Service:
        database = stack.enter_context(cluster.database(projected=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.push_async_callback(check_log, database.admin_dsn, [what_is_referred_to_is_there])
        return await stack.enter_async_context(running(database, folder))

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    how = settings(max_examples=10, stateful_step_count=60, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(cast("type[Machine]", lambda: Machine(start)), settings=how)
