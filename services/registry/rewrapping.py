"""Wrapping the vault's keys by another master key, and making anew what is derived from it (ADR 0041).

The keys themselves stay, and so does all that is sealed under them: the log, its proofs, documents. All of it is one
transaction. Names are in memory for a page of people at a time, and are written nowhere.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from events import sql
from events.catalogue.history import ever_said
from events.catalogue.person import PersonRegistered
from events.codec import decode_entries
from events.errors import Corrupt, EntryTooNew, MasterKeyUnusable, NotCorrectable
from events.log.read import Connection
from events.vault import MasterKey, person_owner, unseal
from events.words import words
from services.registry.access.actions import Action
from services.registry.access.record import Looked, Who, record

PAGE: Final = 500  # keys
PERSON: Final = person_owner("")

_SQL: Final = sql.load("services.registry", "rewrapping.sql")


class Rewrapped(NamedTuple):
    """How many keys were wrapped anew, whose are damaged and were left, and of whom not every name can be read."""

    keys: int
    damaged: Sequence[str]
    unnamed: Sequence[str]


class Served(Exception):
    """Processes are connected as the service; the message names them."""


async def become_owner(connection: Connection) -> bool:
    """Act as the owner of the database from now on; False if the login may not."""
    return await connection.fetchval(_SQL["become_owner"]) is not None


async def wrapped_by(connection: Connection) -> Mapping[str, int]:
    """Return how many keys are wrapped by each master key, by its id."""
    return {row["master_key_id"]: row["keys"] for row in await connection.fetch(_SQL["wrapped_by"])}


async def rewrap(
    connection: Connection,
    present: MasterKey,
    new: MasterKey,
    who: Who,
    *,
    leave_damaged: bool,
    while_served: bool,
    progress: Callable[[int], None],
) -> Rewrapped:
    """Wrap every key by the new master key and make the tokens of names under it, or change nothing.

    The connection is the owner's. A key that the new one wrapped already is left alone. Nothing is appended, and no
    document filed, until it is done. Raises `Corrupt` with the owners of damaged keys unless they are to be left,
    `Served` unless that does not matter, and `MasterKeyUnusable` if no key is wrapped by the present one.
    """
    async with connection.transaction():
        await connection.execute(_SQL["stop_appends"])
        await connection.execute(_SQL["stop_writers"])
        if not while_served:
            await _expect_nobody(connection)
        if present.key_id not in await wrapped_by(connection):
            raise MasterKeyUnusable(f"No key in the vault is wrapped by the master key {present.key_id}.")
        await record(connection, Looked(who, Action.ROTATE_MASTER_KEY, {"from": present.key_id, "to": new.key_id}))
        rewrapped = await _pages(connection, present, new, progress)
        if rewrapped.damaged and not leave_damaged:
            raise Corrupt(_complaint(rewrapped.damaged))
        await connection.execute(_SQL["expect"], new.key_id)
        if (
            not while_served
        ):  # one that came meanwhile may have read a key, and be about to say a name under the old one
            await _expect_nobody(connection)
    return rewrapped


async def _expect_nobody(connection: Connection) -> None:
    await connection.execute(_SQL["look_again"])
    if processes := [row["process"] for row in await connection.fetch(_SQL["served_by"])]:
        raise Served(", ".join(processes))


def _complaint(damaged: Sequence[str]) -> str:
    owners = "".join(f"\n  {owner}" for owner in damaged)
    return f"Keys in the vault cannot be opened with the present master key, and nothing was changed:{owners}"


async def _pages(
    connection: Connection, present: MasterKey, new: MasterKey, progress: Callable[[int], None]
) -> Rewrapped:
    done, after = 0, ""
    damaged, unnamed = list[str](), list[str]()
    while rows := await connection.fetch(_SQL["page"], new.key_id, after, PAGE):
        after = rows[-1]["owner"]
        keys = dict[str, bytes]()
        for owner, wrapped, key_id in rows:
            key = _unwrapped(present, owner, wrapped) if key_id == present.key_id else None
            if key is None:
                damaged.append(owner)
            else:
                keys[owner] = key
        anew = [new.wrap(owner, key) for owner, key in keys.items()]
        await connection.execute(_SQL["wrap"], list(keys), anew, new.key_id)
        await connection.execute(_SQL["forget_tokens"], [row["owner"] for row in rows])
        unnamed += await _add_tokens(connection, new, keys)
        done += len(keys)
        progress(done + len(damaged))
    return Rewrapped(done, damaged, unnamed)


def _unwrapped(present: MasterKey, owner: str, wrapped: bytes) -> bytes | None:
    try:
        return present.unwrap(owner, wrapped)
    except Corrupt:
        return None


async def _add_tokens(connection: Connection, new: MasterKey, keys: Mapping[str, bytes]) -> list[str]:
    """Make the tokens of the people among some owners, and return those of whom not every name can be read."""
    people = [owner for owner in keys if owner.startswith(PERSON)]
    stored = defaultdict[str, list[bytes]](list)
    for row in await connection.fetch(_SQL["entries"], people):  # a person's stream is called as the owner is
        stored[row["stream"]].append(row["bytes"])
    unnamed = list[str]()
    owners, tokens = list[str](), list[bytes]()
    for owner in people:
        names, whole = _names(owner, keys[owner], stored[owner])
        if not whole:
            unnamed.append(owner)
        made = new.blind(dict.fromkeys(word for name in names for word in words(name)))
        owners += [owner] * len(made)
        tokens += made
    await connection.execute(_SQL["add_tokens"], owners, tokens)
    return unnamed


def _names(owner: str, key: bytes, stored: Sequence[bytes]) -> tuple[list[str], bool]:
    """Return every name that a person ever had or was said to have, and whether none is missing."""
    try:
        said = ever_said(decode_entries(stored))
    except EntryTooNew:
        raise
    except (Corrupt, NotCorrectable):
        return [], False
    sealed = [event.sealed for event in said if isinstance(event, PersonRegistered)]
    names = list(_opened(owner, key, sealed))
    return names, bool(names) and len(names) == len(sealed)


def _opened(owner: str, key: bytes, sealed: Iterable[str]) -> Iterator[str]:
    for one in sealed:
        try:
            yield msgspec.json.decode(unseal(key, owner, base64.b64decode(one)))["name"]
        except (Corrupt, ValueError):
            continue


__all__ = ["Rewrapped", "Served", "become_owner", "rewrap", "wrapped_by"]
