"""The lines of an import file: from JSON to the commands that they ask for, and the key that each is recorded under."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from events.entry import canonical
from events.errors import FieldProblem, InvalidField
from events.shape import escape
from services.registry import lenience
from services.registry.bodies import Asked

MAX_BYTES: Final = 16 * 1024**2
"""Of a line; a log entry has 65,535 at most, and one request some thousands of entries."""

_COMMAND: Final = {"command", "subject", "data"}
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class Line(NamedTuple):
    """What a line asks for, its idempotency key, and what is wrong with it already: to be told with all the rest."""

    asked: list[Asked]
    key: str
    problems: tuple[FieldProblem, ...]


class Lines:
    """Reads lines, one after the other: the same line a second time is another request than the first time.

    A line without a key gets one that is made under `secret`. The log shows a hash of it for ever: made of the line
    alone it would let anybody confirm a name that was guessed, after the name's erasure too.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: Counter[bytes] = Counter()

    def read(self, line: bytes) -> Line:
        """Take a line apart. Raises `InvalidField` only for one of which nothing can be said but that it is no line."""
        problems: list[FieldProblem] = []
        given = _decode(line, problems)
        problems += [FieldProblem("unknown field", f"/{escape(name)}") for name in _unknown(given)]
        key = given.get("key")
        if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
            problems.append(FieldProblem("expected 1 to 255 visible ASCII characters without spaces", "/key"))
        asked = [*_commands(given, problems)]
        if problems or key is not None:
            return Line(asked, str(key), tuple(problems))
        try:
            said = canonical.encode(given)
        except (TypeError, ValueError):  # no field holds that: nothing of it is recorded, under whatever key
            said = line
        return Line(asked, self._derived(said), ())

    def _derived(self, said: bytes) -> str:
        digest = hmac.digest(self._secret, said, "sha256")[:16]
        self._seen[digest] += 1
        return f"line/{digest.hex()}/{self._seen[digest]}"


def _decode(line: bytes, problems: list[FieldProblem]) -> dict[str, Any]:
    if len(line) > MAX_BYTES:
        raise InvalidField.of([FieldProblem(f"a line has at most {MAX_BYTES} bytes; spread it over several", "")])
    try:
        given = lenience.decode(line, problems)
    except RecursionError:
        raise InvalidField.of([FieldProblem("nested too deeply", "")]) from None
    except ValueError as refused:
        raise InvalidField.of([FieldProblem(f"not JSON: {refused}", "")]) from None
    if not isinstance(given, dict):
        raise InvalidField.of([FieldProblem("expected an object", "")])
    return cast("dict[str, Any]", given)


def _unknown(given: Mapping[str, Any]) -> list[str]:
    known = {"commands", "key"} if "commands" in given else {*_COMMAND, "key"}
    return [name for name in given if name not in known]


def _commands(given: Mapping[str, Any], problems: list[FieldProblem]) -> Iterator[Asked]:
    """Yield the commands, and add what is wrong with what are none to the problems."""
    if "commands" not in given:
        yield _command(given, "")
        return
    several: object = given["commands"]
    if not isinstance(several, list):
        problems.append(FieldProblem("expected an array of commands", "/commands"))
        return
    asked = cast("list[object]", several)
    if not asked:
        problems.append(FieldProblem("expected one command at least", "/commands"))
    for number, one in enumerate(asked):
        at = f"/commands/{number}"
        if not isinstance(one, dict):
            problems.append(FieldProblem("expected an object", at))
            continue
        fields = cast("dict[str, Any]", one)
        problems += [FieldProblem("unknown field", f"{at}/{escape(name)}") for name in fields if name not in _COMMAND]
        yield _command(fields, at)


def _command(fields: Mapping[str, Any], at: str) -> Asked:
    return Asked(fields.get("command"), fields.get("subject"), fields.get("data", {}), f"{at}/data")
