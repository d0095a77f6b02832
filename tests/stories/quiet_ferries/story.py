"""The second story: electric ferries, silent cranes and repairs, from 2021 to 2025. All of it is invented.

The parties are organisations that do not exist, in countries that do; the people are called "example" in their
languages. Every event of the catalogue occurs, things go as planned and otherwise, what was recorded is found to be
wrong, and what was found is found to be wrong in its turn. The texts beside this module are its papers.
"""

from __future__ import annotations

from tests.stories.quiet_ferries.telling import Telling
from tests.support.spec import made_id

FERRIES = "/v1/cooperations/$ferries"
CRANES = "/v1/cooperations/$cranes"
REPAIRS = "/v1/cooperations/$repairs"
HALL = {"country": "NO", "city": "Bergen", "venue": "Old Rope Hall"}
BERGEN = {"country": "NO", "city": "Bergen"}


async def tell(telling: Telling) -> None:
    """Record all of it, in its order."""
    for part in (
        _announcement,
        _guests,
        _conference,
        _first_meeting,
        _cranes_are_talked_of,
        _autumn,
        _visit,
        _roadmap,
        _repairs_are_talked_of,
        _setbacks,
        _second_thoughts,
        _merger,
        _summer,
        _crane_makers_summer,
        _trial_run,
        _erasure,
        _end_of_the_cranes,
        _end_of_the_ferries,
    ):
        await part(telling)


async def _announcement(tell: Telling) -> None:
    await tell.today_read("2021-04-12")
    await tell.say(
        "directorate",
        "/v1/parties",
        "Its organiser",
        name="Directorate for Quiet Ferries",
        kind="agency",
        country="NO",
        alternative_names=["Direktoratet for stille ferger"],
        sectors=["ferries"],
    )
    await tell.say(
        "department",
        "/v1/parties",
        "charging masts",
        name="Department of Shore Power",
        kind="department",
        country="NO",
        part_of="$directorate",
    )
    await tell.say(
        "meretuul",
        "/v1/parties",
        "register of yards",
        name="Meretuul Laevatehas",
        kind="company",
        country="EE",
        identifiers=[{"scheme": "YARDS", "value": "90001"}],
        sectors=["shipbuilding"],
    )
    await tell.say(
        "conference",
        "/v1/occasions",
        "Old Rope Hall",
        "Its organiser",
        name="Quiet Harbours Conference",
        kind="conference",
        place=HALL,
        dates="2021-06-08/2021-06-10",
        organiser="$directorate",
    )


async def _guests(tell: Telling) -> None:
    tell.today("2021-05-31")
    await tell.read(
        "guests-2021", title="Guests of the conference", publisher="Quiet Harbours Conference", published="2021-06"
    )
    await tell.say(
        "crane_maker",
        "/v1/parties",
        "Guindastes",
        name="Guindastes do Tejo Azul",
        kind="company",
        country="PT",
        sectors=["cranes"],
    )
    people = (
        ("engineer", "Tiit Näidis", "tiit.naidis@meretuul.example", "$meretuul", "chief engineer"),
        ("head", "Liv Eksempel", None, "$department", "head"),
        ("director", "Rui Exemplo", None, "$crane_maker", "director"),
    )
    for name, called, contact, party, post in people:
        contact_as_given = {"contact": contact} if contact else {}
        await tell.say(name, "/v1/people", called, name=called, **contact_as_given)
        await tell.say(f"{name}_appointed", f"/v1/people/${name}/appoint", called, party=party, post=post)


async def _conference(tell: Telling) -> None:
    await tell.today_read("2021-06-14")
    conference = {"name": "Quiet Harbours Conference", "kind": "conference", "place": HALL, "organiser": "$directorate"}
    await tell.say(
        "moved", "/v1/occasions/$conference/amend", "a day later", dates="2021-06-09/2021-06-11", **conference
    )
    engineer = {"party": "$meretuul", "person": "$engineer", "role": "chief engineer"}
    await tell.say(
        "delegation",
        "/v1/occasions/$conference/delegations",
        "two shipwrights",
        party="$meretuul",
        participants=[engineer, {"party": "$meretuul", "role": "shipwright"}],
    )
    await tell.say(
        "ferries",
        "/v1/cooperations",
        "set out to cooperate",
        title="Electric ferries",
        parties=["$directorate", "$meretuul"],
        fields=["ferries", "shore-power"],
    )
    building = {"kind": "joint-production", "subject": "Building an electric ferry", "products": ["electric ferries"]}
    training = {"kind": "training", "subject": "Training crews to charge ferries", "territory": ["NO", "EE"]}
    await tell.say("building", f"{FERRIES}/topics", "building such a ferry", topic=building)
    await tell.say("training", f"{FERRIES}/topics", "building such a ferry", topic=training)


async def _first_meeting(tell: Telling) -> None:
    engineer = {"party": "$meretuul", "person": "$engineer", "role": "chief engineer"}
    met = {
        "held": "2021-06-09",
        "occasion": "$conference",
        "place": HALL,
        "participants": [{"party": "$directorate"}, engineer],
        "topics": ["$building", "$training"],
        "summary": "They spoke of an electric ferry, and of training crews.",
    }
    await tell.say("first_meeting", f"{FERRIES}/meetings", "On 9 June", "building such a ferry", **met)
    await tell.say("same_meeting", f"{FERRIES}/meetings", "On 9 June", **met)
    await tell.retract("once_only", "same_meeting", "On 9 June", reason="Recorded twice: there was one meeting.")
    await tell.say(
        "engineers_visit",
        f"{FERRIES}/visits",
        "to look at the charging masts",
        visitors=[{"party": "$meretuul", "role": "engineers"}],
        host="$directorate",
        place=BERGEN,
        window="2021-09",
        purpose="Look at the charging masts",
        topics=["$training"],
        meeting="$first_meeting",
    )
    await tell.say(
        "tallinn_round",
        f"{FERRIES}/rounds",
        "no time was set",
        place={"country": "EE", "city": "Tallinn"},
        participants=[{"party": "$directorate"}, {"party": "$meretuul"}],
        subject="The hull of the ferry",
    )


async def _cranes_are_talked_of(tell: Telling) -> None:
    maker = "$crane_maker"
    cooperation, topic = made_id("coop", 5150), made_id("topic", 5150)
    both = [{"party": "$directorate", "person": "$head"}, {"party": maker, "person": "$director"}]
    met = {
        "held": "2021-06-10",
        "occasion": "$conference",
        "place": HALL,
        "participants": both,
        "topics": [topic],
        "citations": tell.cite("silent cranes"),
    }
    opened = {
        "title": "Silent cranes",
        "parties": ["$directorate", maker],
        "fields": ["cranes"],
        "citations": tell.cite("silent cranes"),
    }
    cranes = {
        "topic": {"topic_id": topic, "kind": "procurement", "subject": "Cranes that make no noise"},
        "citations": tell.cite("silent cranes"),
    }
    visit = {
        "visitors": both[:1],
        "host": maker,
        "place": {"country": "PT", "city": "Setúbal"},
        "window": "2021-10",
        "purpose": "See the workshop",
        "topics": [topic],
        "citations": tell.cite("Setúbal"),
    }
    told = {
        "cranes": ("open-cooperation", opened),
        "silent_cranes": ("raise-topic", cranes),
        "crane_meeting": ("record-meeting", met),
        "workshop_visit": ("schedule-visit", visit),
    }
    subject = f"cooperation/{cooperation}"
    await tell.say_together(
        "silent-cranes",
        {name: {"command": command, "subject": subject, "data": data} for name, (command, data) in told.items()},
    )


async def _autumn(tell: Telling) -> None:
    await tell.today_read("2021-09-20")
    await tell.say(
        "later",
        f"{FERRIES}/visits/$engineers_visit/reschedule",
        "1 to 5 November",
        window="2021-11-01/2021-11-05",
        reason="The masts are being painted.",
    )
    await tell.say("flooded", f"{CRANES}/visits/$workshop_visit/cancel", "flooded", reason="The workshop was flooded.")
    await tell.say("in_February", f"{FERRIES}/rounds/$tallinn_round/reschedule", "February 2022", window="2022-02")


async def _visit(tell: Telling) -> None:
    await tell.today_read("2021-11-08")
    await tell.say(
        "masts_seen",
        f"{FERRIES}/visits/$engineers_visit/held",
        "2 to 4 November",
        held="2021-11-02/2021-11-04",
        participants=[{"party": "$meretuul", "person": "$engineer"}, {"party": "$directorate"}],
        outcome="The masts fit any ferry.",
    )
    await tell.say(
        "who_pays",
        f"{FERRIES}/negotiations",
        "who pays",
        held="2021-11-03",
        subject="Who pays for the first ferry",
        topics=["$building"],
    )


async def _roadmap(tell: Telling) -> None:
    await tell.today_read("2022-03-01")
    await tell.say(
        "hull_chosen",
        f"{FERRIES}/rounds/$tallinn_round/held",
        "At the round in Tallinn",
        held="2022-02-21/2022-02-22",
        participants=[{"party": "$directorate"}, {"party": "$meretuul", "person": "$engineer"}],
        outcome="A hull was chosen for the Vaikus.",
    )
    steps = {"drawings": "2022-06", "battery": "2022-09-30", "pier": "2022-12", "trial": "2023-05"}
    titles = {
        "drawings": "Drawings of the Vaikus",
        "battery": "A battery that passes the tests",
        "pier": "The charging pier",
        "trial": "Trial run of the Vaikus",
    }
    tell.ids |= {name: made_id("milestone", number) for number, name in enumerate(steps, 1)}
    await tell.say(
        "roadmap",
        f"{FERRIES}/roadmaps",
        "a roadmap",
        agreed="2022-02-21/2022-02-22",
        topics=["$building"],
        milestones=[{"milestone_id": f"${name}", "title": titles[name], "due": due} for name, due in steps.items()],
    )
    await tell.say(
        "memorandum",
        f"{FERRIES}/agreements",
        "A memorandum",
        kind="memorandum",
        subject="Building the Vaikus together",
        reached="2022-02-22",
        topics=["$building"],
        document=tell.ids["2022-03-01"],
    )
    await tell.say(
        "service_centre_talks",
        f"{CRANES}/negotiations",
        "where cranes are serviced",
        held="2022-01",
        subject="A centre where cranes are serviced",
    )


async def _repairs_are_talked_of(tell: Telling) -> None:
    await tell.say("dockyard", "/v1/parties", "Põhjatäht Dokid", name="Põhjatäht Dokid", kind="company", country="EE")
    both = [{"party": "$directorate"}, {"party": "$dockyard"}]
    await tell.say(
        "repairs",
        "/v1/cooperations",
        "ferry repairs",
        title="Ferry repairs",
        parties=["$directorate", "$dockyard"],
        fields=["ferries"],
    )
    await tell.say("repair_meeting", f"{REPAIRS}/meetings", "ferry repairs", held="2022-02-24", participants=both)
    await tell.say(
        "some_time",
        f"{REPAIRS}/rounds",
        "ferry repairs",
        place=BERGEN,
        participants=both,
        subject="Ferry repairs",
        note="The Gazette says: some time.",
    )


async def _setbacks(tell: Telling) -> None:
    await tell.today_read("2022-10-24")
    milestones = f"{FERRIES}/roadmaps/$roadmap/milestones"
    await tell.say("drawings_met", f"{milestones}/$drawings/meet", "drawings", met="2022-06-17")
    await tell.say("battery_missed", f"{milestones}/$battery/miss", "Its battery", reason="It did not pass the tests.")
    await tell.say("pier_later", f"{milestones}/$pier/reschedule", "The charging pier", due="2023-03")
    await tell.say("cranes_rest", f"{CRANES}/suspend", "rests until", reason="The workshop has to be rebuilt.")
    await tell.say(
        "two_more_ferries",
        f"{FERRIES}/agreements",
        "two more ferries",
        kind="contract",
        subject="Two more ferries",
        reached="2022-10-14",
    )


async def _second_thoughts(tell: Telling) -> None:
    await tell.today_read("2022-11-07")
    await tell.retract("no_contract", "two_more_ferries", "no contract", reason="The Gazette was wrong.")
    await tell.correct(
        "on_10_June", "first_meeting", "but on 10 June", reason="The Gazette had the wrong day.", held="2021-06-10"
    )
    contact = {"name": "Rui Exemplo", "contact": "office@tejo-azul.example"}
    path = f"/v1/log/entries/{tell.positions['director']}/correct"
    await tell.say("reached_how", path, replacement=contact, reason="It was not said how the person is reached.")
    await tell.retract("by_mistake", "service_centre_talks", reason="Taken for the contract that was none.")
    await tell.retract("after_all", "by_mistake", reason="The wrong entry was retracted: the talks were held.")


async def _merger(tell: Telling) -> None:
    await tell.today_read("2023-03-20")
    reason = "The dockyard became part of the shipyard."
    await tell.say("merger", "/v1/parties/$dockyard/merge", "has become part", into="$meretuul", reason=reason)
    both = [{"party": "$directorate"}, {"party": "$meretuul"}]
    await tell.say("repairs_again", f"{REPAIRS}/meetings", "On 15 March", held="2023-03-15", participants=both)
    await tell.say(
        "baltic_conference",
        "/v1/occasions",
        "A Baltic",
        name="Baltic Quiet Harbours Conference",
        kind="conference",
        place={"country": "EE", "city": "Tallinn"},
        dates="2023-09",
    )
    await tell.say(
        "narva_talks",
        f"{FERRIES}/rounds",
        "talk in Narva",
        place={"country": "EE", "city": "Narva"},
        participants=both,
        subject="The name of the next ferry",
        window="2023-05",
    )


async def _summer(tell: Telling) -> None:
    await tell.today_read("2023-06-12")
    milestones = f"{FERRIES}/roadmaps/$roadmap/milestones"
    await tell.say("pier_met", f"{milestones}/$pier/meet", "charging pier", met="2023-03-28")
    await tell.say("no_hall", "/v1/occasions/$baltic_conference/cancel", "no hall", reason="No hall is quiet enough.")
    await tell.say("no_talks", f"{FERRIES}/rounds/$narva_talks/cancel", "talks in Narva", reason="None is told.")
    left = {"party": "$department", "post": "head", "until": "2023-05"}
    await tell.say("head_left", "/v1/people/$head/leave-post", "left that post", **left)
    adviser = {"party": "$directorate", "post": "adviser", "from": "2023-06"}
    await tell.say("head_moved", "/v1/people/$head/appoint", "left that post", **adviser)


async def _crane_makers_summer(tell: Telling) -> None:
    maker = "$crane_maker"
    await tell.say("renamed", f"/v1/parties/{maker}/rename", "is called", name="Tejo Azul Sistemas", since="2023-05")
    await tell.say(
        "amended",
        f"/v1/parties/{maker}/amend",
        "is called",
        kind="company",
        country="PT",
        identifiers=[{"scheme": "YARDS", "value": "5150"}],
        sectors=["cranes", "hoists"],
    )
    await tell.say("taken_up_again", f"{CRANES}/resume", "taken up again", reason="The workshop stands again.")
    await tell.say(
        "understanding",
        f"{CRANES}/agreements",
        "an understanding",
        kind="understanding",
        subject="A service centre for cranes",
        reached="2023-06-05",
        topics=["$silent_cranes"],
    )
    await tell.say(
        "crane_visit",
        f"{CRANES}/visits",
        "from 4 to 8 March",
        visitors=[{"party": maker, "role": "engineers"}],
        host="$directorate",
        place=BERGEN,
        window="2024-03-04/2024-03-08",
        purpose="Try a silent crane",
    )


async def _trial_run(tell: Telling) -> None:
    await tell.today_read("2023-11-20")
    await tell.say("trial_met", f"{FERRIES}/roadmaps/$roadmap/milestones/$trial/meet", "trial run", met="2023-10-12")
    await tell.say(
        "contract",
        f"{FERRIES}/agreements/$memorandum/amend",
        "became a contract",
        amended="2023-11-06",
        kind="contract",
        subject="Building the Vaikus and a sister ship together",
        topics=["$building"],
        document=tell.ids["2023-11-20"],
    )


async def _erasure(tell: Telling) -> None:
    """The yard's engineer asks to be forgotten, and the one paper that names him has to go with his data."""
    tell.today("2024-05-13")
    await tell.say(
        "forgotten",
        "/v1/people/$engineer/erase",
        authority="Data protection officer of the registry",
        reason="The person asked for it.",
        documents="withdraw",
    )


async def _end_of_the_cranes(tell: Telling) -> None:
    await tell.today_read("2024-09-30")
    understanding = f"{CRANES}/agreements/$understanding"
    ended = {"terminated": "2024-08-31", "reason": "The Gazette tells none."}
    await tell.say("terminated", f"{understanding}/terminate", "ended on 31 August", **ended)
    await tell.say("given_up", f"{CRANES}/abandon", "has given up", reason="Its maker makes hoists only.")


async def _end_of_the_ferries(tell: Telling) -> None:
    await tell.today_read("2025-04-07")
    await tell.say("complete", f"{FERRIES}/conclude", "in service", reason="The ferry is in service.")
    await tell.correct(
        "through_the_night",
        "on_10_June",
        "through the night",
        reason="The correction was wrong in its turn: it was both days.",
        held="2021-06-09/2021-06-10",
    )
