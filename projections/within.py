"""What the read models of things within a cooperation have in common: topics, participants, filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import get_args

from events.catalogue.cooperation_state import Cooperation, Status
from events.values import Participant, TopicKind
from projections.model import Filter, Item

OF_COOPERATION = (
    Filter("cooperation", "id", "the cooperation that it belongs to", kind="cooperation"),
    Filter("party", "id", "a party of it", kind="party"),
)
OF_TOPICS = (
    Filter("topic", "id", "a topic of it", kind="topic"),
    Filter("topic_kind", "choice", "the kind of one of its topics", choices=get_args(TopicKind)),
)
OF_PERSON = Filter("person", "id", "a person who takes part", kind="person")
HELD = Filter("held", "dates", "when it was held; what was not is not found")
STATUS = Filter("status", "choice", "what became of it", choices=get_args(Status))


class CooperationPart(Item, frozen=True, kw_only=True):
    """An item that belongs to a cooperation."""

    cooperation: str


def kinds_of(state: Cooperation, topics: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of the topics named, each once, in order."""
    return tuple(sorted({state.topics[topic].event.topic.kind for topic in topics if topic in state.topics}))


def parties_of(participants: Iterable[Participant]) -> tuple[str, ...]:
    """Return the parties that take part, each once, in order."""
    return tuple(sorted(set(map(_party, participants))))


def persons_of(participants: Iterable[Participant]) -> tuple[str, ...]:
    """Return the people who take part, each once, in order."""
    return tuple(sorted(set(filter(None, map(_person, participants)))))


def all_parties(state: Cooperation) -> tuple[str, ...]:
    """Return the parties of the cooperation: those of an act that names none of its own."""
    return tuple(sorted(set(state.opened.event.parties)))


_party: Callable[[Participant], str] = attrgetter("party")
_person: Callable[[Participant], str | None] = attrgetter("person")
