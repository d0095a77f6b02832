"""`registry verify`: prints what `services.registry.verify` finds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from events.log.migrate import check
from events.log.servers import create_pool
from events.merkle.note import MAX_NOTE_BYTES, NoteError, VerifierKey
from services.registry.cli.failures import Unusable, told
from services.registry.settings import load
from services.registry.verify.earlier import Earlier
from services.registry.verify.export import Export
from services.registry.verify.report import Report
from services.registry.verify.source import Source
from services.registry.verify.verification import Asked, verify

VERIFIED: Final = 0
WRONG: Final = 1
NOT_VERIFIABLE: Final = 2
INTERRUPTED: Final = 130
SHOWN: Final = 20


def run(
    what: str | None,
    *,
    keys: Sequence[str],
    against: Path | None,
    state: Path | None,
    token_file: Path | None,
    json: bool,
) -> int:
    """Verify, print the result and return the exit code."""
    try:
        with _progress() as progress:
            asked = Asked(
                keys=tuple(map(_key, keys)),
                against=Earlier(_note(against), str(against)) if against else None,
                state=state,
                progress=progress,
            )
            report = _verified(what, asked, token_file)
    except KeyboardInterrupt:
        goes_on = " The same command goes on from near here." if state else ""
        sys.stderr.write(f"Interrupted: nothing is known of the log.{goes_on}\n")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it was, the exit code of what is wrong would accuse the log
        told(error)
        return NOT_VERIFIABLE
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        sys.stdout.write("".join(f"{_printable(line)}\n" for line in _lines(report)))
    return VERIFIED if report.verified else WRONG


def _verified(what: str | None, asked: Asked, token_file: Path | None) -> Report:
    if what is None:
        return uvloop.run(_database(asked))
    if what.startswith(("http://", "https://")):
        return uvloop.run(verify(_service(what, token_file), asked))
    path = Path(what)
    if path.is_dir():
        return uvloop.run(verify(Export(path), asked))
    if not path.is_file():
        raise Unusable(f"There is no {what}. Give the address of a service, the folder of an export, or a pack's file.")
    if asked.state is not None:
        raise Unusable("A pack is verified as a whole: --state is for services, exports and the database.")
    from services.registry.verify.pack import verify_pack

    return verify_pack(path, asked.keys, asked.against, asked.progress)


async def _database(asked: Asked) -> Report:
    from events.vault import MasterKey, Vault
    from services.registry.signing.keyring import KeyRing
    from services.registry.verify.database import Database

    settings = load(os.environ, needed=["database_url"])
    master = MasterKey.from_file(settings.master_key_file) if settings.master_key_file else None
    ring = KeyRing(settings.key_dir) if settings.key_dir else None
    await check(settings.database_url)
    async with create_pool(
        settings.database_url, min_size=1, max_size=2, server_settings={"application_name": "registry verify"}
    ) as pool:
        return await verify(Database(pool, settings.origin, Vault(pool, master) if master else None, ring), asked)


def _service(url: str, token_file: Path | None) -> Source:
    from services.registry.verify.remote import Service

    if token_file is None:
        return Service(url.rstrip("/"), load(os.environ).token or None)
    try:
        return Service(url.rstrip("/"), token_file.read_text(encoding="ascii").strip())
    except UnicodeDecodeError:
        raise Unusable(f"{token_file} holds no token.") from None


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text.strip())
    except NoteError as refused:
        raise Unusable(f"--key {text}: {refused}. `registry key list` and /log/keys show verifier keys.") from None


def _note(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_NOTE_BYTES + 1)


@contextmanager
def _progress() -> Generator[Callable[[int, int], None]]:
    """Show how many entries are done, on a terminal."""
    columns = (
        TextColumn("verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("verifying", total=None)
        yield lambda done, size: progress.update(task, completed=done, total=size)


def _lines(report: Report) -> Iterator[str]:
    for finding in report.findings[:SHOWN]:
        yield finding.line
    if report.found > SHOWN:
        yield f"… and {report.found - SHOWN:,} more."
    if report.found:
        yield ""
    yield f"source       {report.source}"
    yield f"log          {report.origin or 'unknown'}"
    if report.size is not None:
        yield f"size         {report.size:,} entries"
    if report.root:
        yield f"root         {report.root}"
    for key in report.keys:
        whose = "given by you" if key.given else "published by the log itself"
        yield f"key          {key.key} ({whose}; {'signed' if key.signed else 'did not sign'} the checkpoint)"
    yield f"checkpoints  {report.checkpoints:,}"
    for label, texts in (("checked", report.checked), ("not checked", report.not_checked), ("note", report.notes)):
        for text in texts:
            yield f"{label:12} {text}"
    yield ""
    yield "Verified." if report.verified else f"NOT VERIFIED: {_things(report.found)} wrong."


def _things(found: int) -> str:
    return "one thing is" if found == 1 else f"{found:,} things are"


def _printable(line: str) -> str:
    """Leave out what would move a terminal's cursor: a line may quote what somebody altered."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)
