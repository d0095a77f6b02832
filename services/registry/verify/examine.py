"""Examines one chunk: leaves, tile, form, columns, and the order of its entries. Pure, and the inner loop of verifying.

Checks are made column by column over all entries at once, and entry by entry only to name those that fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count, pairwise
from operator import eq
from typing import Final, Literal, NamedTuple, NoReturn, cast

import msgspec

from events.entry import MAX_ENTRY_BYTES, canonical, leaf_hashes
from events.merkle.tiles import WIDTH, TileError, decode_bundle, hashes_of
from events.merkle.tree import HASH_BYTES, extend, root_of_frontier, row_above
from events.values import Classification
from services.registry.verify import forms
from services.registry.verify.chunk import KEY_BYTES, NO_KEY, Bundle, Chunk, Edge, Examined, Grown
from services.registry.verify.findings import Finding, Findings

COLUMNS: Final = ("stream", "revision", "id", "type", "classification", "recorded_at", "command_id")
_UNKNOWN: Final = bytes(HASH_BYTES)


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):  # its fields in the order of RFC 8785, so that encoding it gives the canonical bytes
    """The attributes of an entry, with the event as it stands there."""

    actor: str
    causationid: str | None = None
    classification: Classification
    commandhash: str
    commandid: str
    correlationid: str | None = None
    data: msgspec.Raw
    datacontenttype: Literal["application/json"]
    dataschema: str
    id: str
    onbehalfof: str | None = None
    revision: int
    sequence: str
    source: str
    specversion: Literal["1.0"]
    subject: str
    time: str
    type: str


_FORMS: Final[tuple[tuple[str, Callable[[Sequence[str]], list[int]]], ...]] = (
    ("id", forms.UUID7.wrong),
    ("commandid", forms.UUID.wrong),
    ("commandhash", forms.SHA256.wrong),
    ("time", forms.wrong_times),
)
_decode: Final = msgspec.json.Decoder(Envelope).decode
_encode: Final = msgspec.json.Encoder().encode
_encode_into: Final = msgspec.json.Encoder().encode_into
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


def examine(chunk: Chunk) -> Examined:
    """Find out what the chunk shows by itself. Raises nothing, whatever the bytes are."""
    findings = Findings()
    grown: list[Grown] = []
    positions: list[int] = []
    envelopes: list[Envelope] = []
    for bundle in chunk.bundles:  # bundle by bundle: what is looked at several times stays near the processor
        entries = _taken_apart(bundle, findings)
        grown.append(_grown(bundle, entries, chunk.sizes, findings))
        read = len(envelopes)
        _read(bundle.first, entries, positions, envelopes, findings)
        if chunk.events:
            _check_events(positions[read:], envelopes[read:], findings)
        if bundle.columns:
            _check_columns(bundle, positions[read:], envelopes[read:], findings)
    length = sum(bundle.width for bundle in chunk.bundles)
    return _in_order(Stretch(chunk.bundles[0].first, length, positions, envelopes), findings, tuple(grown))


def _taken_apart(bundle: Bundle, findings: Findings) -> Sequence[bytes | None]:
    """Return the bundle's entries; None for those that are not there."""
    if bundle.entries is not None:
        try:
            return decode_bundle(bundle.entries, bundle.width)
        except TileError as refused:
            words = f"{_those(bundle)} cannot be read: {refused}"
            findings.add("bundle-malformed", words, position=bundle.first)
            return (None,) * bundle.width
    entries = bundle.singles
    if entries is None:
        findings.add("bundle-missing", f"{_those(bundle)} are not there", position=bundle.first)
        return (None,) * bundle.width
    long = [bundle.first + number for number, entry in enumerate(entries) if entry and len(entry) > MAX_ENTRY_BYTES]
    findings.at(long, "entry-too-long", f"the entry has more than {MAX_ENTRY_BYTES} bytes")
    missing = [bundle.first + number for number, entry in enumerate(entries) if entry is None]
    findings.at(missing, "entry-missing", "there is no entry")
    return entries


def _those(bundle: Bundle) -> str:
    return f"the entries from here to {bundle.first + bundle.width - 1}"


def _grown(bundle: Bundle, entries: Sequence[bytes | None], sizes: Sequence[int], findings: Findings) -> Grown:
    """Hash the bundle's leaves, hold them against the tile, and hash them together."""
    stated = _stated(bundle, findings)
    present = [entry for entry in entries if entry is not None]
    leaves = leaf_hashes(present)
    if len(leaves) < bundle.width:  # what the tile says of entries that are not there is the best that is known
        known, hashes = stated or [_UNKNOWN] * bundle.width, iter(leaves)
        leaves = [known[number] if entry is None else next(hashes) for number, entry in enumerate(entries)]
    differs = [] if stated is None or stated == leaves else [n for n in range(bundle.width) if leaves[n] != stated[n]]
    roots = _frontier(leaves)
    basis = _frontier(stated) if differs and stated else roots
    if bundle.root is not None and root_of_frontier(basis) != bundle.root:
        where = f"0/{bundle.first // WIDTH:03}"
        findings.note(Finding("tile-altered", "its root is not that of its hashes", tile=where))
    _check_leaves(bundle, leaves, stated, findings)
    inner = [size for size in sizes if bundle.first < size < bundle.first + bundle.width]
    return Grown(
        bundle.first,
        bundle.width,
        tuple(roots),
        tuple(differs),
        tuple(basis) if differs else (),
        tuple((size, tuple(_frontier(leaves[: size - bundle.first]))) for size in inner),
    )


def _stated(bundle: Bundle, findings: Findings) -> list[bytes] | None:
    """Return the hashes that the tile has, if it is one."""
    if bundle.tile is None:
        if bundle.singles is None:
            findings.note(Finding("tile-missing", "it is not there", tile=f"0/{bundle.first // WIDTH:03}"))
        return None
    if len(bundle.tile) != bundle.width * HASH_BYTES:
        words = f"it has {len(bundle.tile)} bytes, not {bundle.width * HASH_BYTES}"
        findings.note(Finding("tile-malformed", words, tile=f"0/{bundle.first // WIDTH:03}"))
        return None
    return hashes_of(bundle.tile)


def _check_leaves(bundle: Bundle, leaves: list[bytes], stated: list[bytes] | None, findings: Findings) -> None:
    """Hold the column `leaf` against the entries; where tile and column agree against an entry, the entry is wrong."""
    for number, copies in enumerate(bundle.columns or ()):
        if copies is None or copies[-1] == leaves[number]:
            continue
        position = bundle.first + number
        if stated is None:
            words = "the entry's bytes are not those that its leaf is the hash of"
            findings.add("entry-altered", words, position=position)
        elif stated[number] == leaves[number]:
            findings.add("leaf-altered", "the column leaf is not the hash of the entry's bytes", position=position)


def _frontier(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the perfect subtrees over up to 256 leaves, largest first."""
    if len(leaves) != WIDTH:
        roots: list[bytes] = []
        for size, leaf in enumerate(leaves):
            extend(size, roots, leaf)
        return roots
    row = b"".join(leaves)
    while len(row) > HASH_BYTES:
        row = row_above(row)
    return [row]


class Stretch(NamedTuple):
    """The entries of a chunk that can be read, and their positions; `count` is how many there should be."""

    first: int
    length: int
    positions: Sequence[int]
    envelopes: Sequence[Envelope]


def _read(
    first: int, entries: Sequence[bytes | None], positions: list[int], envelopes: list[Envelope], findings: Findings
) -> None:
    """Add the envelopes that can be read, and their positions."""
    if None not in entries and (read := _plainly(cast("Sequence[bytes]", entries))):
        positions += range(first, first + len(read))
        envelopes += read
        return
    for position, entry in enumerate(entries, first):
        if entry is None:
            continue
        try:
            envelope = _decode(entry)
        except _UNREADABLE as refused:
            findings.add("entry-malformed", f"the entry cannot be read: {refused}", position=position)
            continue
        if _encode(envelope) != entry:
            findings.add("entry-not-canonical", "the entry is not in canonical form (RFC 8785)", position=position)
        positions.append(position)
        envelopes.append(envelope)


def _plainly(entries: Sequence[bytes]) -> list[Envelope]:
    """Return the envelopes if all can be read and are in canonical form, else none: one by one it is told which not."""
    try:
        read = list(map(_decode, entries))
    except _UNREADABLE:
        return []
    encode_into, encoded = _encode_into, bytearray()
    for envelope, entry in zip(read, entries, strict=True):
        encode_into(envelope, encoded)
        if encoded != entry:  # pyright: ignore[reportUnnecessaryComparison] - bytearray and bytes do compare
            return []
    return read


def _check_events(positions: Sequence[int], envelopes: Sequence[Envelope], findings: Findings) -> None:
    """Hold what entries say against its canonical form, all of it in one go; only what is wrong is told one by one."""
    if _is_canonical(b"[%b]" % b",".join([one.data for one in envelopes])):
        return
    wrong = [position for position, one in zip(positions, envelopes, strict=True) if not _is_canonical(bytes(one.data))]
    findings.at(wrong, "entry-not-canonical", "what the entry says is not in canonical form (RFC 8785)")


def _no_fraction(_number: str) -> NoReturn:
    raise msgspec.ValidationError("entries have whole numbers only")


_decode_any: Final = msgspec.json.Decoder(float_hook=_no_fraction).decode


def _is_canonical(raw: bytes) -> bool:
    try:
        return canonical.encode(_decode_any(raw)) == raw
    except _UNREADABLE:
        return False


def _check_columns(bundle: Bundle, positions: Sequence[int], envelopes: Sequence[Envelope], findings: Findings) -> None:
    """Hold the columns beside the bytes against what they are copies of."""
    for position, one in zip(positions, envelopes, strict=True):
        copies = (bundle.columns or ())[position - bundle.first]
        if copies is None:
            continue
        said = (one.subject, one.revision, one.id, one.type, one.classification, one.time, one.commandid)
        if said != copies[:-1]:
            for name, column, value in zip(COLUMNS, copies, said, strict=False):
                if column != value:
                    words = f"the column {name} says {column}, the entry {value}"
                    findings.add("column-altered", words, position=position)


def _in_order(stretch: Stretch, findings: Findings, grown: tuple[Grown, ...]) -> Examined:
    """Hold the entries against each other, and take down what later chunks have to agree with."""
    positions, envelopes = stretch.positions, stretch.envelopes
    said = {
        "id": [one.id for one in envelopes],
        "commandid": [one.commandid for one in envelopes],
        "commandhash": [one.commandhash for one in envelopes],
        "time": [one.time for one in envelopes],
    }
    wrong: dict[str, frozenset[int]] = {}
    for name, of_form in _FORMS:
        found = of_form(said[name])
        findings.at((positions[n] for n in found), "envelope-wrong", f"{name} is not in form")
        wrong[name] = frozenset(found)
    _check_attributes(positions, envelopes, findings)
    commands = said["commandid"]
    _check_neighbours(stretch, said["time"], commands, said["commandhash"], findings)
    begun = ["" if command == before else command for command, before in zip(commands, ["", *commands], strict=False)]
    return Examined(
        findings,
        grown,
        _keys(stretch, said["id"], wrong["id"]),
        _keys(stretch, begun, wrong["commandid"]),
        _streams(positions, envelopes, findings),
        _edge(positions[0], envelopes[0]) if envelopes else None,
        _edge(positions[-1], envelopes[-1]) if envelopes else None,
    )


def _edge(position: int, one: Envelope) -> Edge:
    return Edge(position, one.time, one.source, one.commandid, one.commandhash)


def _check_attributes(positions: Sequence[int], envelopes: Sequence[Envelope], findings: Findings) -> None:
    """Check what each envelope has to say whatever the others do."""
    if [one.sequence for one in envelopes] != list(map(str, positions)):
        for position, one in zip(positions, envelopes, strict=True):
            if one.sequence != str(position):
                findings.add("sequence-wrong", f"the entry says that it is number {one.sequence}", position=position)
    sources, types = [one.source for one in envelopes], [one.type for one in envelopes]
    if all(map(_is_of_source, set(zip(sources, types, [one.dataschema for one in envelopes], strict=True)))):
        return
    for position, one in zip(positions, envelopes, strict=True):
        if not _is_of_source((one.source, one.type, one.dataschema)):
            findings.add("envelope-wrong", "the envelope does not say what it must", position=position)


def _is_of_source(said: tuple[str, str, str]) -> bool:
    source, event_type, schema = said
    return source.startswith("https://") and schema == f"{source}/v1/schemas/{event_type}"


def _check_neighbours(
    stretch: Stretch, times: list[str], commands: list[str], hashes: list[str], findings: Findings
) -> None:
    """Check that time never falls, that the source stays, and that a command's entries share their hash."""
    envelopes = stretch.envelopes
    if (
        times == sorted(times)
        and len({one.source for one in envelopes}) <= 1
        and all(hashes[at] == hashes[at + 1] for at in compress(count(), map(eq, commands, commands[1:])))
    ):
        return
    for number, (before, one) in enumerate(pairwise(envelopes), 1):
        for code, words in differences(_edge(0, before), _edge(0, one)):
            findings.add(code, words, position=stretch.positions[number])


def differences(before: Edge, after: Edge) -> Iterator[tuple[str, str]]:
    """Yield what an entry does not agree on with the one ahead: a code and words."""
    if after.time < before.time:
        yield "time-falls", f"the entry was recorded at {after.time}, before the entry ahead ({before.time})"
    if after.source != before.source:
        yield "source-differs", "the entry has another source than the entry ahead"
    if after.command == before.command and after.command_hash != before.command_hash:
        yield "command-hash-differs", "the entry has another command hash than its command's entry ahead"


def _keys(stretch: Stretch, texts: list[str], wrong: frozenset[int]) -> bytes:
    """Put UUIDs into 16 bytes each, zeros for those that are empty, wrong or not there."""
    if len(texts) == stretch.length and not wrong:
        blank = "0" * 2 * KEY_BYTES
        return bytes.fromhex("".join([text or blank for text in texts]).replace("-", ""))
    keys = [NO_KEY] * stretch.length
    for number, (position, text) in enumerate(zip(stretch.positions, texts, strict=True)):
        if text and number not in wrong:
            keys[position - stretch.first] = bytes.fromhex(text.replace("-", ""))
    return b"".join(keys)


def _streams(positions: Sequence[int], envelopes: Sequence[Envelope], findings: Findings) -> bytes:
    """Check that revisions follow one another within the chunk, and take down where each stream begins and ends."""
    following: dict[str, int] = {}
    opened: list[tuple[str, int, int]] = []
    known = following.get
    for position, one in zip(positions, envelopes, strict=True):
        stream, revision = one.subject, one.revision
        expected = known(stream)
        if expected != revision:
            if expected is None:
                opened.append((stream, position, revision))
            else:
                findings.add("revision-wrong", revision_words(stream, revision, expected), position=position)
        following[stream] = revision + 1
    return msgspec.msgpack.encode([(*one, following[one[0]]) for one in opened])


def revision_words(stream: str, revision: int, expected: int) -> str:
    """Say that a stream does not go on as it must."""
    return f"the entry has revision {revision} of {stream}, not {expected}"
