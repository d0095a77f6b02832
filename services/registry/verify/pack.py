"""An evidence pack: some entries with a proof each, the checkpoint that they lead to, keys, and the documents cited.

It shows that these entries were recorded and how they read. That there are no others it cannot show.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from events.entry import MAX_ENTRY_BYTES, leaf_hash
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint, ProofFile, base64_of
from events.merkle.note import MAX_NOTE_BYTES, VerifierKey
from services.registry.verify.chunk import Bundle, Chunk, Opened
from services.registry.verify.earlier import Earlier, read_earlier, rewritten
from services.registry.verify.examine import examine, revision_words
from services.registry.verify.findings import Finding, Findings
from services.registry.verify.report import KeySeen, Report
from services.registry.verify.signatures import Keys, Vouched, read_checkpoint, read_keys
from services.registry.verify.source import Unreadable

MAX_INDEX_BYTES: Final = 64 * 1024**2
AIDS: Final = ("README.html", "verify.py")
LACKING: Final = {"gone": "what the registry kept of it is gone", "damaged": "what the registry keeps of it is damaged"}
_BLOCK: Final = 1024**2
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # a password, or a way of packing that it does not know
    ValueError,
    OverflowError,
    OSError,
)
"""What a zip that is not in order makes `zipfile` raise."""

CHECKED: Final = (
    "every entry's proof, and the checkpoint's signatures",
    "form and position of every entry, and that no revision of a stream is left out",
    "every document's hash, and that an entry files it",
    "that nothing is in the pack besides",
)
BEYOND: Final = (
    "whether more was recorded: about something else, or after the last entry of a stream",
    "what the page and the script in it say: nobody signed them",
)
_opened: Final = msgspec.msgpack.Decoder(list[Opened])

Position = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Document(msgspec.Struct, frozen=True):
    """A document as the index names it."""

    sha256: Sha256
    source: str
    withdrawn: bool
    missing: Literal["gone", "damaged"] | None = None


class Contents(msgspec.Struct, frozen=True):
    """The pack's index, evidence.json."""

    origin: str
    size: Position
    entries: tuple[Position, ...]
    documents: tuple[Document, ...]
    files: dict[str, Sha256] = {}


class _Said(msgspec.Struct):
    """What an entry about a source says of its document; a correction says it of what takes an entry's place."""

    sha256: str = ""
    size: int = 0
    replacement: _Said | None = None


class _Entry(msgspec.Struct):
    subject: str
    data: msgspec.Raw


def verify_pack(
    path: Path,
    keys: tuple[VerifierKey, ...],
    against: Earlier | None = None,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> Report:
    """Verify a pack. Raises `Unreadable` for what is none; whatever is wrong with one is found."""
    try:
        opened = zipfile.ZipFile(path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}.") from None
    except _BROKEN:
        raise Unreadable(f"{path} is no evidence pack: it is no zip file, or a damaged one.") from None
    with opened as pack:
        return _Pack(path, pack, keys).verify(against, progress)


class _Pack:
    def __init__(self, path: Path, pack: zipfile.ZipFile, given: tuple[VerifierKey, ...]) -> None:
        self._path = path
        self._pack = pack
        self._findings = Findings()
        self._is_read = False
        self._names = Counter(pack.namelist())
        self._keys = Keys(given, read_keys(self._read("keys", MAX_NOTE_BYTES) or b"", self._findings))
        self._filed: dict[tuple[str, str], int] = {}  # by source and hash: how many bytes entries say that it has
        self._following: dict[str, int] = {}

    def verify(self, against: Earlier | None, progress: Callable[[int, int], None]) -> Report:
        self._check_names()
        contents = self._contents()
        raw = self._read("checkpoint", MAX_NOTE_BYTES)
        vouched = read_checkpoint(raw or b"", self._keys.trusted, self._findings, file="checkpoint")
        if contents is None or vouched is None:
            return self._report(vouched, whole=False)
        known = vouched.checkpoint
        if (contents.origin, contents.size) != (known.origin, known.size):
            self._wrong("evidence.json", "it speaks of another checkpoint than the one in the pack")
        if len(contents.entries) > len(self._names):
            self._wrong("evidence.json", "it speaks of more entries than there are files")
            return self._report(vouched, whole=False)
        for done, position in enumerate(sorted(set(contents.entries)), 1):
            self._check_entry(position, known)
            progress(done, len(contents.entries))
        for document in contents.documents:
            self._check_document(document)
        self._check_listed(contents)
        undecided = self._check_against(against, known) if against else None
        return self._report(vouched, whole=True, undecided=undecided)

    def _wrong(self, file: str, words: str, code: str = "pack-malformed") -> None:
        self._findings.note(Finding(code, words, file=file))

    def _check_names(self) -> None:
        for name, times in self._names.items():
            if times > 1:
                self._wrong(name, "it is in the pack more than once")

    def _contents(self) -> Contents | None:
        raw = self._read("evidence.json", MAX_INDEX_BYTES)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=Contents)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
            self._wrong("evidence.json", f"it cannot be read: {refused}")
            return None

    def _check_entry(self, position: int, known: Checkpoint) -> None:
        """Check an entry's form, that it follows the entry before of its stream, and its proof."""
        entry = self._read(f"entries/{position}.json", MAX_ENTRY_BYTES)
        proof = self._read(f"proofs/{position}.tlog-proof", MAX_NOTE_BYTES)
        if entry is None:
            return
        examined = examine(Chunk((Bundle(position, 1, None, None, (entry,)),)))
        self._findings.take(examined.findings)
        for one in _opened.decode(examined.streams):
            expected = self._following.get(one.stream, 0)
            if one.revision != expected:
                words = revision_words(one.stream, one.revision, expected)
                self._findings.add("revision-wrong", words, position=position)
            self._following[one.stream] = one.following
        self._note_filing(entry)
        if proof is not None:
            self._check_proof(position, leaf_hash(entry), proof, known)

    def _check_proof(self, position: int, leaf: bytes, raw: bytes, known: Checkpoint) -> None:
        try:
            proof = ProofFile.parse(raw)
            shown = proof.verify(leaf, self._keys.trusted, origin=known.origin)
        except VerificationError as refused:
            self._findings.add("proof-wrong", f"its proof does not hold: {refused}", position=position)
            return
        if proof.index != position:
            words = f"its proof is that of the position {proof.index}"
            self._findings.add("proof-wrong", words, position=position)
        if (shown.size, shown.root) != (known.size, known.root):
            self._findings.add("proof-wrong", "its proof leads to another checkpoint", position=position)

    def _note_filing(self, entry: bytes) -> None:
        """Take down the document that an entry files, or puts in the place of another, if it does."""
        try:
            filing = msgspec.json.decode(entry, type=_Entry)
            kind, _, source = filing.subject.partition("/")
            said = msgspec.json.decode(filing.data, type=_Said) if kind == "source" else None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return  # what cannot be read has been found
        while said is not None:
            filed = (source, said.sha256)
            self._filed[filed] = max(said.size, self._filed.get(filed, 0))
            said = said.replacement

    def _check_document(self, document: Document) -> None:
        name = f"documents/{document.sha256}"
        size = self._filed.get((document.source, document.sha256))
        if size is None:
            self._wrong(name, f"no entry in the pack files it as {document.source}", "document-unfiled")
        if document.withdrawn:
            if name in self._names:
                self._wrong(name, "it is in the pack, which says that it was withdrawn")
            return
        if document.missing:
            words = f"the document of {document.source} is missing: {LACKING[document.missing]}"
            self._wrong(name, words, f"document-{document.missing}")
            if name in self._names:
                self._wrong(name, "it is in the pack, which says that it is missing")
            return
        found = self._hash(name, MAX_INDEX_BYTES if size is None else size)
        if found is not None and found != document.sha256:
            self._wrong(name, f"it is not the document: its SHA-256 is {found}", "document-altered")

    def _check_listed(self, contents: Contents) -> None:
        """Check what explains the pack, and that nothing is in it that the index does not speak of."""
        listed = {"evidence.json", "checkpoint", "keys"}
        listed |= {f"entries/{position}.json" for position in contents.entries}
        listed |= {f"proofs/{position}.tlog-proof" for position in contents.entries}
        listed |= {f"documents/{document.sha256}" for document in contents.documents}
        for name, expected in contents.files.items():
            if name in AIDS and self._hash(name, MAX_INDEX_BYTES) not in (None, expected):
                self._wrong(name, "it is not as it was put into the pack")
        for name in self._names:
            if name not in listed and not (name in AIDS and name in contents.files):
                self._wrong(name, "evidence.json does not speak of it")

    def _check_against(self, against: Earlier, known: Checkpoint) -> str | None:
        """Hold the pack against a checkpoint that was kept; returns what cannot be decided."""
        earlier, _ = read_earlier(against, known.origin, self._keys, None, self._findings)
        if earlier is None:
            return None
        if earlier.size != known.size:
            return (
                f"whether the log over {known.size} entries is that over {earlier.size}: a pack does not have the tree "
                "(verify the service or an export against it)"
            )
        if earlier.root != known.root:
            self._findings.note(rewritten(earlier, against.name))
        return None

    def _read(self, name: str, most: int) -> bytes | None:
        """Return a file of the pack; None, and a finding, if it is not there, cannot be read or is too long."""
        content = b"".join(self._blocks(name, most))
        return content if self._is_read else None

    def _hash(self, name: str, most: int) -> str | None:
        digest = hashlib.sha256()
        for block in self._blocks(name, most):
            digest.update(block)
        return digest.hexdigest() if self._is_read else None

    def _blocks(self, name: str, most: int) -> Iterator[bytes]:
        """Yield a file's content, and say in `_is_read` whether that was all of it."""
        self._is_read = False
        if name not in self._names:
            self._wrong(name, "it is not in the pack", "file-missing")
            return
        length = 0
        try:
            with self._pack.open(name) as file:
                while block := file.read(_BLOCK):
                    length += len(block)
                    if length > most:
                        self._wrong(name, f"it has more than {most} bytes")
                        return
                    yield block
        except _BROKEN as error:
            self._wrong(name, f"it cannot be read: {error or type(error).__name__}")
            return
        self._is_read = True

    def _report(self, vouched: Vouched | None, *, whole: bool, undecided: str | None = None) -> Report:
        known = vouched.checkpoint if vouched else None
        signers = vouched.signers if vouched else ()
        not_checked = [*BEYOND, *([undecided] if undecided else [])]
        if not self._keys.given:
            not_checked.append("whose the keys are: they came with the pack (give them with --key)")
        return Report(
            source=str(self._path),
            verified=not self._findings.count,
            origin=known.origin if known else None,
            size=known.size if known else None,
            root=base64_of(known.root) if known else None,
            keys=tuple(KeySeen(key.text, key in self._keys.given, key in signers) for key in self._keys.known),
            checkpoints=1 if known else 0,
            checked=CHECKED if whole else (),
            not_checked=tuple(not_checked),
            found=self._findings.count,
            findings=tuple(self._findings.kept),
        )
