"""Named blocks of SQL, from the `.sql` file beside the module that runs them.

A block begins with a line `-- name: the_name`; comment lines below it say what it does and what `$1`, `$2`, … are,
and stay in the statement, so that the server's statistics show them. Statements are never put together from strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)
_STATEMENT: Final = re.compile(r"^(?!--|[ \t]*$).*[^\s;]", re.MULTILINE)


class SqlFileError(Exception):
    """A `.sql` file is not what the program beside it expects: the program is broken, not the request."""


class Blocks(Mapping[str, LiteralString]):
    """The statements of one file by name; asking for a name that is not there raises `SqlFileError`."""

    def __init__(self, origin: str, statements: Mapping[str, LiteralString]) -> None:
        self._origin = origin
        self._statements = dict(statements)

    def __getitem__(self, name: str) -> LiteralString:
        try:
            return self._statements[name]
        except KeyError:
            raise SqlFileError(f"{self._origin} has no block named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)

    def __len__(self) -> int:
        return len(self._statements)


def load(package: str, file: str) -> Blocks:
    """Read the named blocks of a package's file.

    Raises `SqlFileError` for a file without blocks, text before the first, a name that stands twice and a block
    without a statement. The text is part of the program, as a literal in it would be; hence the type.
    """
    origin = f"{package}/{file}"
    return parse(origin, files(package).joinpath(file).read_text(encoding="utf-8"))


def parse(origin: str, text: str) -> Blocks:
    """Take a file's text apart; `origin` names it in errors (which are those of `load`)."""
    before, *rest = _NAME.split(text)
    if not rest:
        raise SqlFileError(f"{origin} has no line '-- name: …'")
    if _STATEMENT.search(before):
        raise SqlFileError(f"{origin} has a statement before its first name")
    statements: dict[str, LiteralString] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in statements:
            raise SqlFileError(f"{origin} has two blocks named {name!r}")
        if not _STATEMENT.search(body):
            raise SqlFileError(f"{origin}: the block {name!r} has no statement")
        statements[name] = cast("LiteralString", body.strip().removesuffix(";"))
    return Blocks(origin, statements)
