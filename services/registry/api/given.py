"""What a request brings besides its body: its parameters and headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from litestar import Request

from events.errors import FieldProblem, InvalidField
from services.registry.present import PRESENT, Present

Asking: TypeAlias = Request[Any, Any, Any]


def pairs(request: Asking) -> Iterator[tuple[bytes, bytes]]:
    """Take a query apart as forms are (URL Standard, section 5.1), into bytes: they may be no text."""
    query: bytes = request.scope["query_string"]
    for pair in filter(None, query.replace(b"+", b" ").split(b"&")):
        name, _, value = pair.partition(b"=")
        yield unquote_to_bytes(name), unquote_to_bytes(value)


def header(request: Asking, name: bytes) -> str | None:
    """Return the first header with a name in small letters, without reading the others."""
    for one, value in request.scope["headers"]:
        if one == name:
            return value.decode("latin-1")
    return None


def headers_named(request: Asking, name: bytes) -> list[str]:
    """Return every header with a name in small letters, in their order."""
    return [value.decode("latin-1") for one, value in request.scope["headers"] if one == name]


def present(request: Asking) -> Present:
    """Return what was so when it was looked at whose token this is, on a route that is not open to all."""
    found: Present = request.scope["state"][PRESENT]
    return found


def invalid(problems: Iterable[FieldProblem]) -> InvalidField:
    """Return the refusal of a query: one that could not have recorded anything says nothing of it."""
    return InvalidField("The query is not valid; see errors.", problems)


class Given:
    """The parameters of a request, taken one by one; what is wrong with any is gathered, each named once."""

    def __init__(self, request: Asking) -> None:
        self._request = request
        self._problems: dict[tuple[str | None, str | None], FieldProblem] = {}
        self._values: dict[str, str] = {}
        for raw_name, raw in pairs(request) if request.scope["query_string"] else ():
            name, value = raw_name.decode(errors="replace"), raw.decode(errors="replace")
            if name in self._values:
                self.wrong(name, "given more than once")
            elif value.encode() != raw:
                self.wrong(name, "is not UTF-8")
            elif "\x00" in value:
                self.wrong(name, "must not contain a NUL character")
            self._values[name] = value

    def take(self, name: str) -> str | None:
        """Return a parameter, which is not left over then."""
        return self._values.pop(name, None)

    def asked(self) -> list[tuple[str, str]]:
        """Return what is asked for, wherever in the list: everything but the place and the number."""
        return sorted((name, value) for name, value in self._values.items() if name not in ("cursor", "limit"))

    def headers(self, name: str) -> list[str]:
        """Return every header with a name, whatever its case."""
        return headers_named(self._request, name.lower().encode())

    def wrong(self, name: str, detail: str) -> None:
        """Say what is wrong with a parameter; what was said of it first holds."""
        self._wrong(FieldProblem(detail, parameter=name))

    def wrong_header(self, name: str, detail: str) -> None:
        """Say what is wrong with a header."""
        self._wrong(FieldProblem(detail, header=name))

    def _wrong(self, problem: FieldProblem) -> None:
        self._problems.setdefault((problem.parameter, problem.header), problem)

    def problems(self) -> tuple[FieldProblem, ...]:
        """Return everything that was wrong, and what is left over: to be asked for when all was taken."""
        for name in self._values:
            self.wrong(name, "unknown parameter")
        return tuple(self._problems.values())

    def finish(self) -> None:
        """Refuse what is left over, and everything that was wrong. Raises `InvalidField`."""
        if problems := self.problems():
            raise invalid(problems)
