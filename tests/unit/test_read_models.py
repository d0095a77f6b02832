"""What holds for every read model: rows are functions of a stream's state, and SQL, filters and items say the same."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from events.catalogue import AGGREGATES, Aggregate, Entry, Event, Facts
from events.catalogue.cooperation_events import CooperationConcluded, CooperationOpened
from events.catalogue.party import PARTY, PartyRegistered
from events.catalogue.person import PersonErased
from events.codec import decode_entry
from events.edtf import EdtfDate
from events.entry import canonical
from events.errors import Corrupt, RegistryError
from events.shape import from_text
from projections import LISTED, MODELS, ReadModel, Row
from projections import model as telling
from projections.around import refs_of
from projections.commitments import COMMITMENTS
from projections.engine import version_of
from projections.gathering import Concerns, Gathered, KnownRows
from projections.model import Change, changes_of
from projections.names import names
from projections.parties import PARTIES
from projections.rounds import ROUNDS
from projections.titles import TITLES
from projections.versions import Changes, Known, Step, Touched
from projections.visits import VISITS
from services.registry.api.parameters import PREFIXES
from tests.support.check_read_models import COMMON
from tests.support.histories import asked
from tests.support.spec import entries_of, fold, made_id, stored

FACTS = Facts(today=date(2019, 6, 19))
LABELLED = re.compile(r"(party|person|occ|src|coop|topic|milestone)_[0-7][0-9a-hjkmnp-tv-z]{25}")
FIXED_PARAMETERS = 4  # size, sort key, id, limit

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
each_list = pytest.mark.parametrize("model", LISTED, ids=lambda model: model.name)


def history(aggregate: Aggregate, wishes: list[Event]) -> Iterator[tuple[Entry[Event], Any, Any]]:
    """What is recorded of one stream when all this is asked for, entry by entry."""
    stream = f"{aggregate.kind}/{made_id(aggregate.prefix, 1)}"
    state: Any = None
    revision = 0
    for wish in wishes:
        try:
            decided = aggregate.decide(state, wish, FACTS)
        except RegistryError:
            continue
        for entry in entries_of(stream, decided, FACTS.today, revision=revision):
            after = aggregate.evolve(state, entry)
            yield entry, state, after
            state, revision = after, revision + 1


def of_kind(aggregate: Aggregate) -> list[ReadModel]:
    return [model for model in MODELS if aggregate.kind in model.rows]


def rows_of(model: ReadModel, aggregate: Aggregate, state: Any, only: Any = None) -> dict[str, Row]:
    """The rows of a state by id, no two of which are the same."""
    rows = [] if state is None else list(model.rows[aggregate.kind](state, only))
    found = {row.id: row for row in rows}
    assert len(found) == len(rows), "two rows have one id"
    return found


def changed(before: dict[str, Row], after: dict[str, Row]) -> dict[str, tuple[Row | None, Row | None]]:
    return {
        key: (before.get(key), after.get(key))
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)


# Rows


@given(asked())
def test_the_rows_that_an_entry_touches_differ_by_all_that_differs(wish):
    aggregate, wishes = wish
    for _, before, after in history(aggregate, wishes):
        for model in of_kind(aggregate):
            was, now = rows_of(model, aggregate, before), rows_of(model, aggregate, after)
            some_were = rows_of(model, aggregate, before, after.touched)
            some_are = rows_of(model, aggregate, after, after.touched)
            assert changed(some_were, some_are) == changed(was, now)
            assert some_were.items() <= was.items()
            assert some_are.items() <= now.items()
            touched = {key for key in after.touched if key.partition("_")[0] in model.prefixes}
            assert some_were.keys() | some_are.keys() <= touched


@given(asked())
def test_of_settled_rows_nothing_differs_once_the_stream_has_begun(wish):
    aggregate, wishes = wish
    for _, before, after in history(aggregate, wishes):
        for model in of_kind(aggregate):
            if before is not None:
                differing = changed(rows_of(model, aggregate, before), rows_of(model, aggregate, after))
                assert {key.partition("_")[0] for key in differing}.isdisjoint(model.settled)


def concerned(concerns: Concerns, step: Step) -> dict[str, Collection[str]]:
    """Return the ids of the rows that an entry may change, by their read model."""
    todo: list[list[Touched]] = [[] for _ in MODELS]
    concerns.share_out(step, Known(), todo)
    return {model.name: ids for model, told in zip(MODELS, todo, strict=True) for _, _, ids, _ in told}


def test_what_is_said_of_a_stream_of_which_nothing_stands_concerns_no_read_model():
    erased = PersonErased(authority="A court", reason="A request")
    (entry,) = entries_of(f"person/{made_id('person', 1)}", [erased], FACTS.today, revision=2)
    assert concerned(Concerns(MODELS), Step(entry, None, None)) == {}


def test_what_is_remembered_of_kinds_of_keys_does_not_grow_with_how_many_there_are():
    """A cooperation that ends touches whatever was promised in it; a projector runs for years."""
    event = CooperationConcluded(reason="All was delivered")
    (entry,) = entries_of(f"cooperation/{made_id('coop', 1)}", [event], FACTS.today, revision=1)
    visits = [made_id("visit", number) for number in range(300)]
    concerns = Concerns(MODELS)
    for promised in range(len(visits)):
        after = SimpleNamespace(touched=(entry.stream.partition("/")[2], *visits[:promised]))
        touched = concerned(concerns, Step(entry, after, after))
        assert [*touched.get("visits", [])] == visits[:promised]
    assert len(concerns._plans) < 20


async def test_whoever_waits_has_a_turn_after_each_read_model_that_entries_concern():
    """What is written meanwhile waits for PostgreSQL, and then for its turn, many times."""
    turns = 0

    async def waits() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    opened = CooperationOpened(title="Works", parties=(made_id("party", 1), made_id("party", 2)))
    ((entry, before, after),) = history(AGGREGATES["cooperation"], [opened])
    step = Step(entry, before, after)
    concerns = Concerns(MODELS)
    models = len(concerned(concerns, step))
    assert models > 1
    gathered = Gathered(concerns, KnownRows())
    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    seen = turns
    gathered.take(step)
    await gathered.settle()
    waiting.cancel()
    assert turns - seen >= models


def test_what_happened_is_told_of_each_entry_as_it_is_and_remembered_of_few():
    opened = CooperationOpened(title="Works", parties=(made_id("party", 1), made_id("party", 2)))
    wishes = [opened, CooperationConcluded(reason="It is done.")]
    *_, (entry, _, _) = history(AGGREGATES["cooperation"], wishes)
    (told,) = changes_of([entry])
    assert changes_of([entry]) == (told,)
    said = msgspec.json.decode(msgspec.json.encode(told), type=Change)
    assert (said.type, said.position, said.details) == (
        entry.event.event_type,
        entry.position,
        {"reason": "It is done."},
    )
    others = [replace(entry, position=number) for number in range(2 * telling.CHANGES_KEPT)]
    for _ in range(2):
        positions = [msgspec.json.decode(msgspec.json.encode(change))["position"] for change in changes_of(others)]
        assert positions == [one.position for one in others]
    assert 0 < len(telling._changes) <= telling.CHANGES_KEPT


def _at(version: tuple[Row, int, int | None]) -> tuple[str, int]:
    row, born, _ = version
    return row.id, born


@given(asked())
def test_versions_gathered_entry_by_entry_are_those_that_whole_states_differ_by(wish):
    aggregate, wishes = wish
    for model in of_kind(aggregate):
        gathered, known = Changes(model), Known()
        versions: list[tuple[Row, int, int | None]] = []
        current: dict[str, int] = {}
        for entry, before, after in history(aggregate, wishes):
            gathered.apply([(Step(entry, before, after), model.rows[aggregate.kind], after.touched, known)])
            differences = changed(rows_of(model, aggregate, before), rows_of(model, aggregate, after))
            for key, (was, now) in differences.items():
                if was is not None:
                    row, born, _ = versions[current[key]]
                    versions[current[key]] = (row, born, entry.position)
                if now is not None:
                    current[key] = len(versions)
                    versions.append((now, entry.position, None))
        found = [(one.row, one.born, one.died) for one in gathered._begun]
        assert sorted(found, key=_at) == sorted(versions, key=_at)
        assert not gathered._ended


@given(asked())
def test_a_run_that_begins_in_the_middle_ends_the_versions_that_were_current_then(wish):
    aggregate, wishes = wish
    steps = list(history(aggregate, wishes))
    middle = len(steps) // 2
    for model in of_kind(aggregate):
        gathered, known = Changes(model), Known()
        for entry, before, after in steps[middle:]:
            gathered.apply([(Step(entry, before, after), model.rows[aggregate.kind], after.touched, known)])
        then = rows_of(model, aggregate, steps[middle][1]) if steps else {}
        ended: dict[str, int] = {}
        for entry, before, after in steps[middle:]:
            was, now = rows_of(model, aggregate, before), rows_of(model, aggregate, after)
            for key in changed(was, now).keys() & then.keys():
                ended.setdefault(key, entry.position)
        assert gathered._ended == ended


@given(asked())
def test_rows_are_the_same_down_to_their_bytes_whether_lived_through_or_read_back(wish):
    aggregate, wishes = wish
    entries = [entry for entry, _, _ in history(aggregate, wishes)]
    read_back = [decode_entry(stored(entry)) for entry in entries]
    lived, read = fold(aggregate, entries), fold(aggregate, read_back)
    for model in of_kind(aggregate):
        assert repr(rows_of(model, aggregate, lived)) == repr(rows_of(model, aggregate, read))


@given(asked())
def test_a_row_refers_to_exactly_the_ids_in_its_body_that_names_can_label(wish):
    aggregate, wishes = wish
    for _, _, after in history(aggregate, wishes):
        for model in of_kind(aggregate):
            for row in rows_of(model, aggregate, after).values():
                named = {text for text in texts_in(json.loads(row.body or b"{}")) if LABELLED.fullmatch(text)}
                assert refs_of(row.body) == tuple(sorted(named))


@pytest.mark.parametrize(
    ("note", "refs"),
    [
        (made_id("party", 7), [made_id("party", 7)]),
        (f'"{made_id("party", 7)}"', []),
        (f'see "{made_id("party", 7)}', []),
        (f'{made_id("party", 7)}" is meant', []),
        (f"of {made_id('party', 7)}", []),
        (f"\\{made_id('party', 7)}", []),
        (f"{made_id('party', 7)}\\", []),
        (f',"{made_id("party", 7)}",', []),
        (made_id("meeting", 7), []),
    ],
)
def test_an_id_is_referred_to_where_it_is_all_of_a_text_and_not_where_it_is_quoted_in_one(note, refs):
    registered = PartyRegistered(name="Works", kind="company", country="NO", note=note)
    party = fold(PARTY, entries_of(f"party/{made_id('party', 1)}", [registered], FACTS.today))
    (row,) = PARTIES.rows["party"](party, None)
    assert refs_of(row.body) == (made_id("party", 1), *refs)


@given(asked())
def test_everything_with_an_id_of_its_own_that_a_row_refers_to_has_a_name_of_its_own(wish):
    aggregate, wishes = wish
    for _, _, after in history(aggregate, wishes):
        own = {key for model in of_kind(aggregate) for key in rows_of(model, aggregate, after)}
        labelled = {key for key in own if LABELLED.fullmatch(key)}
        named = {key for key, _ in names(aggregate.kind, after)} if after is not None else set()
        assert labelled == named | {key for key in own if key.startswith("person_")}


@given(asked())
def test_a_row_stands_under_an_id_that_no_other_stream_can_have(wish):
    aggregate, wishes = wish
    claimed: set[str] = set()
    for entry, before, after in history(aggregate, wishes):
        claimed |= {claim.value for claim in aggregate.claims(before, entry.event) if claim.scope == "id"}
        for model in of_kind(aggregate):
            assert rows_of(model, aggregate, after).keys() <= {after.id, *claimed}


@given(asked())
def test_a_body_is_an_item_as_documented_and_nothing_else(wish):
    aggregate, wishes = wish
    for _, _, after in history(aggregate, wishes):
        for model in of_kind(aggregate):
            for row in rows_of(model, aggregate, after).values():
                if model.item is not None:
                    item = msgspec.json.decode(row.body, type=model.item, dec_hook=from_text)
                    assert canonical.encode(item) == row.body
                    assert (item.id, len(row.columns)) == (row.id, len(model.columns))  # type: ignore[attr-defined]
                    fields = {field.encode_name for field in msgspec.structs.fields(model.item)}
                    assert json.loads(row.body).keys() == fields


@each_model
def test_every_kind_of_stream_that_a_read_model_is_made_of_exists(model):
    assert model.rows.keys() <= AGGREGATES.keys()


# Tables and queries


def columns_of(create: str) -> list[tuple[str, bool]]:
    """The columns of a CREATE TABLE, and whether they may be null."""
    (body,) = re.findall(r"CREATE TABLE \w+ \((.*?)\n\)", create, re.DOTALL)
    lines = [line.strip().rstrip(",") for line in body.strip().splitlines()]
    return [(line.split()[0], "NOT NULL" not in line) for line in lines if " GENERATED " not in line]


@each_model
def test_a_table_has_the_columns_that_rows_fill(model):
    create = model.queries["create"]
    assert re.findall(r"CREATE TABLE (\w+)", create) == [model.name]
    assert [name for name, _ in columns_of(create)] == [*COMMON, *model.columns]
    assert create.endswith("\n) WITH (toast_tuple_target = 4080)")


@each_model
def test_a_row_has_one_version_at_a_time_and_no_two_of_one_position(model):
    index = [statement.strip() for statement in model.queries["index"].split(";")]
    assert index[0].endswith(f"\nCREATE UNIQUE INDEX IF NOT EXISTS {model.name}_versions ON {model.name} (id, born)")
    assert f"CREATE UNIQUE INDEX IF NOT EXISTS {model.name}_current ON {model.name} (id) WHERE died IS NULL" in index


@each_model
def test_queries_touch_no_other_table_than_their_own(model):
    assert f"UPDATE {model.name} AS version" in model.queries["end"]
    for name in model.queries.keys() - {"create", "index", "analyze", "end"}:
        read = set(re.findall(rf"\b(?:FROM|JOIN) ({'|'.join(one.name for one in MODELS)})\b", model.queries[name]))
        assert read - {"parties", "topics"} | {model.name} == {model.name}
        assert model.name in read


@given(asked())
def test_a_column_that_must_not_be_null_never_is(wish):
    aggregate, wishes = wish
    for _, _, after in history(aggregate, wishes):
        for model in of_kind(aggregate):
            nullable = dict(columns_of(model.queries["create"]))
            for row in rows_of(model, aggregate, after).values():
                for name, value in zip(model.columns, row.columns, strict=True):
                    assert value is not None or nullable[name]


def clauses(page: str) -> list[str]:
    """The conditions of a page, each with its parameters."""
    where = page[page.index("WHERE born") : page.index("ORDER BY sort")]
    return re.split(r"\n  AND ", where)


@each_list
def test_each_filter_has_its_parameters_in_the_order_that_the_reader_gives_them(model):
    page = model.queries["page"]
    header = "\n".join(line for line in page.splitlines() if line.startswith("--"))
    number = FIXED_PARAMETERS
    for one in model.filters:
        taken = [number + 1 + nth for nth in range({"dates": 3, "overdue": 2}.get(one.form, 1))]
        number = taken[-1]
        (clause,) = [clause for clause in clauses(page) if re.search(rf"\${taken[0]}\b", clause)]
        if one.form == "dates":
            first, last, certain = taken
            of = "held_" if f"{one.name}_earliest" in page else ""
            lies = f"({of}earliest, {of}latest, {of}qualified, ${first}::date, ${last}::date, ${certain}::boolean)"
            unasked = f"(${first}::date IS NULL AND ${last}::date IS NULL OR status = 'held' AND "
            expected = f"projection.lies{lies}"
            assert " ".join(clause.split()) == (f"{unasked}{expected})" if of else expected)
        elif one.form == "overdue":
            wanted, on = taken
            expected = (
                f"(${wanted}::boolean IS NULL OR coalesce(NOT qualified AND latest < ${on}::date, false) = ${wanted})"
            )
            assert clause.strip() == expected
        else:
            plural = {f"{one.name}s", re.sub("y$", "ies", one.name), one.name}
            assert set(re.findall(r"\w+", clause)) & plural, f"the clause of ${number} names no column of {one.name}"
            kind = "text[]" if one.kind == "party" else "text"  # a party, and those that it was merged with
            assert f"${number}::{kind} IS NULL OR" in clause
        assert re.search(rf"\${taken[0]}\b", header), f"${taken[0]} is not explained"
    used = {int(found) for found in re.findall(r"\$([0-9]+)", page)}
    assert used == set(range(1, number + 1))


@each_list
def test_a_page_goes_on_in_its_own_order_as_of_its_size(model):
    page = model.queries["page"]
    ways = {"ASC": ">", "DESC": "<"}
    (way,) = re.findall(r"ORDER BY sort (ASC|DESC), id (?:ASC|DESC)", page)
    assert f"ORDER BY sort {way}, id {way}\nLIMIT $4" in page
    assert f'($2::text IS NULL OR (sort, id) {ways[way]} ($2 COLLATE "C", $3::text))' in page
    holds = "(died IS NULL OR died >= $1)"
    if model is COMMITMENTS:  # each part either of what stands or of what ended later, and only while it is promised
        holds = "open AND (NOT ended AND died IS NULL OR ended AND died >= $1)"
    assert f"WHERE born < $1 AND {holds}" in page
    its_own = "WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2)"
    assert its_own in model.queries["items"]


@pytest.mark.parametrize("model", [VISITS, ROUNDS, TITLES], ids=lambda model: model.name)
def test_what_is_open_is_asked_for_as_it_is_indexed(model):
    """An index of some rows serves whoever says which, in the same words, and in its order."""
    some_rows = rf"{model.name}_promise\w* ON {model.name} \((.*)\) WHERE (.*) AND (.*);"
    branches = [one for one in COMMITMENTS.queries["page"].split("UNION ALL") if f"FROM {model.name}\n" in one]
    (sort, promised, stands), (died, as_promised, is_over) = re.findall(some_rows, model.queries["index"])
    assert (died, promised, stands, is_over) == ("died", as_promised, "died IS NULL", "died IS NOT NULL")
    assert sort in {"due, id", "sort, id"}
    for branch, ended in zip(branches, ("false", "true"), strict=True):
        said = " ".join(branch.replace(" AS ended", "").replace(" AS open", "").replace(" AS sort", "").split())
        assert f"id, born, died, {ended}, {promised}, {sort.removesuffix(', id')}, " in said


@each_list
def test_a_filter_says_what_it_takes(model):
    assert len({one.name for one in model.filters}) == len(model.filters)
    for one in model.filters:
        assert one.says
        assert (one.form == "choice") == bool(one.choices)
        assert (one.form == "id") == bool(one.kind)
        assert not one.kind or one.kind in PREFIXES


# Items


@each_list
def test_every_field_of_an_item_has_a_form_that_is_documented(model):
    def hook(kind: type) -> dict[str, Any]:
        assert kind is EdtfDate
        return {"type": "string"}

    assert model.item is not None
    _, components = msgspec.json.schema_components([model.item], schema_hook=hook)
    for name, schema in components.items():
        assert schema.get("description"), f"{name} is not described"
        assert not schema["description"].startswith(f"{name}("), f"{name} is not described"
        for field, form in schema["properties"].items():
            assert form.keys() - {"default", "description"}, f"{name}.{field} may be anything"


# Versions of the code


def test_the_version_is_another_when_a_number_or_a_table_is():
    model, *others = MODELS
    assert version_of() == version_of(MODELS)
    assert version_of([replace(model, number=model.number + 1), *others]) != version_of()
    assert version_of(others) != version_of()
    assert version_of([replace(model, filters=())]) == version_of([model])


class Tables:
    """Tables that do not hold what the log says, as a connection shows it."""

    async def execute(self, *_: object) -> str:
        return "UPDATE 0"


async def test_tables_that_lack_a_version_that_is_to_end_are_corrupt():
    gathered = Changes(PARTIES)
    gathered._ended["party_1"] = 7
    with pytest.raises(Corrupt, match=r"read_1\.parties lacks rows"):
        await gathered.write(Tables(), "read_1")  # type: ignore[arg-type]
