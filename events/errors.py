"""Every way in which the domain and the log say no.

The first line of a class's docstring is the title a client reads; `code` is stable and is
what programs test for. Nothing here knows HTTP: `services.registry.problems` gives each a status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import msgspec
from msgspec.structs import replace


class FieldProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One offending field: where it is (exactly one of the three places) and what is wrong.

    `pointer` is an RFC 6901 JSON Pointer into the request's body, `parameter` names a query or
    path parameter, `header` a header.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class RegistryError(Exception):
    """The request could not be carried out."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, problems: Iterable[FieldProblem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = tuple(problems)

    def under(self, pointer: str) -> Self:
        """Return this error with the pointers of its problems counted from `pointer`."""
        self.problems = tuple(
            problem if problem.pointer is None else replace(problem, pointer=pointer + problem.pointer)
            for problem in self.problems
        )
        return self

    def in_full(self) -> str:
        """Return the detail with what is wrong of each field: for a message about another thing than the request."""
        fields = [f"{problem.pointer}: {problem.detail}" for problem in self.problems if problem.pointer]
        return f"{self.detail} ({'; '.join(fields)})" if fields else self.detail


class InvalidField(RegistryError):
    """A field has a value that is not allowed."""

    code = "invalid-field"

    @classmethod
    def of(cls, problems: Iterable[FieldProblem]) -> InvalidField:
        """All problems at once, so that the client mends them in one go."""
        found = tuple(problems)
        count = "One field is" if len(found) == 1 else f"{len(found)} fields are"
        return cls(f"{count} not valid; see errors. Nothing was recorded.", found)


class UnknownReference(RegistryError):
    """Something that is referred to does not exist."""

    code = "unknown-reference"


class NotFound(RegistryError):
    """There is no such thing."""

    code = "not-found"


class RuleBroken(RegistryError):
    """A rule of the domain forbids it."""

    code = "rule-broken"


class AlreadyExists(RuleBroken):
    """Something with this id exists already."""

    code = "already-exists"


class NothingChanges(RuleBroken):
    """It is so already, and nothing would change."""

    code = "nothing-changes"


class CooperationClosed(RuleBroken):
    """The cooperation has been concluded or abandoned."""

    code = "cooperation-closed"


class CooperationSuspended(RuleBroken):
    """The cooperation is suspended."""

    code = "cooperation-suspended"


class CooperationNotSuspended(RuleBroken):
    """The cooperation is not suspended."""

    code = "cooperation-not-suspended"


class NotScheduled(RuleBroken):
    """The visit or round is not scheduled any more."""

    code = "not-scheduled"


class MilestoneClosed(RuleBroken):
    """The milestone has been met or missed."""

    code = "milestone-closed"


class AgreementOver(RuleBroken):
    """The agreement has been terminated."""

    code = "agreement-over"


class OccasionCancelled(RuleBroken):
    """The occasion has been cancelled."""

    code = "occasion-cancelled"


class SourceWithdrawn(RuleBroken):
    """The source has been withdrawn."""

    code = "source-withdrawn"


class PartyMerged(RuleBroken):
    """The party has been merged into another."""

    code = "party-merged"


class CircularParties(RuleBroken):
    """A party would be part of itself, or merged into itself."""

    code = "circular-parties"


class NotInPost(RuleBroken):
    """The person does not hold the post."""

    code = "not-in-post"


class PersonErased(RuleBroken):
    """The person's data has been erased."""

    code = "person-erased"


class DocumentsNamePerson(RuleBroken):
    """Documents name the person who is to be erased."""

    code = "documents-name-person"


class NotCorrectable(RuleBroken):
    """The entry cannot be corrected or retracted in this way."""

    code = "not-correctable"


class RestedUpon(RuleBroken):
    """Other things rest on what would be retracted or corrected."""

    code = "rested-upon"


class TooFewParties(RuleBroken):
    """At least two different parties have to take part."""

    code = "too-few-parties"


class NotAParty(RuleBroken):
    """A party that takes part is not a party of the cooperation."""

    code = "not-a-party"


class DateNotReached(RuleBroken):
    """What is said to have happened lies after the day it is recorded."""

    code = "date-not-reached"


class DocumentMissing(RuleBroken):
    """The source that is cited has no document on file, so its words cannot be checked."""

    code = "document-missing"


class DocumentDiffers(RuleBroken):
    """A source says another size or media type than its document has."""

    code = "document-differs"


class AlreadyClaimed(RegistryError):
    """A value that belongs to one thing only is taken."""

    code = "already-claimed"


class WrongExpectedVersion(RegistryError):
    """The stream has moved on since the revision that the request rests on."""

    code = "wrong-expected-version"

    def __init__(self, streams: Mapping[str, tuple[int | str, int]]) -> None:
        """Take, by stream, the revision expected (or which, in words) and the one found (-1: no such stream)."""
        said = "; ".join(
            f"{stream} is at revision {found}, not {expected}" if found >= 0 else f"{stream} does not exist yet"
            for stream, (expected, found) in sorted(streams.items())
        )
        super().__init__(f"{said}. Read it again and decide anew.")
        self.streams = dict(streams)


class CommandIdReused(RegistryError):
    """The idempotency key was used before for a different request."""

    code = "command-id-reused"


class EntryTooLarge(RegistryError):
    """The entry would exceed 65,535 bytes, the limit of an entry bundle."""

    code = "entry-too-large"


class QueueFull(RegistryError):
    """Too many commands are waiting to be recorded."""

    code = "queue-full"


class LogUnavailable(RegistryError):
    """The log cannot be reached now; whether the command was recorded may be unknown."""

    code = "log-unavailable"


class Corrupt(RegistryError):
    """Something stored is not what it must be: a hash, a seal or a form does not hold.

    `place` says where, if that is known, and nothing of content (`position 60`, `tile 0/001`): clients and the journal
    are told, too.
    """

    code = "corrupt"

    def __init__(self, detail: str, problems: Iterable[FieldProblem] = (), *, place: str | None = None) -> None:
        super().__init__(detail, problems)
        self.place = place


class EntryTooNew(Corrupt):
    """A newer version of the program recorded this, and this one cannot read it."""

    code = "entry-too-new"


class MasterKeyUnusable(RegistryError):
    """The master key is missing, malformed, or not the one that the vault's keys are wrapped by."""

    code = "master-key-unusable"
