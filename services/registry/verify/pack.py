"""An evidence pack: some entries with a proof each, the checkpoint that they lead to, keys, and the documents cited.

It shows that these entries were recorded and how they read. That there are no others it cannot show.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from events.entry import MAX_ENTRY_BYTES, canonical, leaf_hash
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint, ProofFile, base64_of
from events.merkle.note import MAX_NOTE_BYTES, Note, NoteError, VerifierKey
from services.registry.evidence.manifest import AIDS, MISSING, Document, Evidence
from services.registry.verify.chunk import Bundle, Chunk, Edge, Opened
from services.registry.verify.earlier import Earlier, read_earlier, rewritten
from services.registry.verify.examine import differences, examine, revision_words
from services.registry.verify.findings import Finding, Findings
from services.registry.verify.report import KeySeen, Report
from services.registry.verify.signatures import Keys, Vouched, read_checkpoint, read_keys, signers
from services.registry.verify.sources import Citation, Sources
from services.registry.verify.zipped import Zipped, opened

MAX_MANIFEST_BYTES: Final = 64 * 1024**2
PLAIN: Final = "text/plain"  # what citations can be of

CHECKED: Final = (
    "every entry's proof, and the checkpoint's signatures",
    "form and position of every entry, and that no revision of a stream is left out",
    "every document's hash, that an entry files it, and of one that was withdrawn that an entry says so",
    "that every citation is a part of its document",
    "that all is in the pack that has to be, and nothing besides",
)
BEYOND: Final = (
    "whether more was recorded: about something else, or after the last entry of a stream",
    "whether a document is left out that no citation needs: a source may have been recorded without one",
    "what the page and the script in it say: nobody signed them",
    "what the zip has between its files, which none that unpacks it takes for one",
)
_opened: Final = msgspec.msgpack.Decoder(list[Opened])


def verify_pack(
    path: Path,
    keys: tuple[VerifierKey, ...],
    against: Earlier | None = None,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> Report:
    """Verify a pack. Raises `Unreadable` for what is none; whatever is wrong with one is found."""
    with opened(path) as archive:
        return _Pack(path, archive, keys).verify(against, progress)


class _Pack:
    def __init__(self, path: Path, archive: zipfile.ZipFile, given: tuple[VerifierKey, ...]) -> None:
        self._path = path
        self._findings = Findings()
        self._files = Zipped(path, archive, self._findings)
        self._keys = Keys(given, read_keys(self._files.read("keys", MAX_NOTE_BYTES) or b"", self._findings))
        self._following: dict[str, int] = {}
        self._last: Edge | None = None
        self._sources = Sources()
        self._lengths: dict[str, list[int | None]] = {}  # by source: characters of its documents, as far as known

    def verify(self, against: Earlier | None, progress: Callable[[int, int], None]) -> Report:
        self._files.check()
        evidence = self._evidence()
        raw = self._files.read("checkpoint", MAX_NOTE_BYTES) or b""
        vouched = read_checkpoint(raw, self._keys.trusted, self._findings, file="checkpoint")
        if evidence is None or vouched is None:
            return self._report(vouched, whole=False)
        known = vouched.checkpoint
        self._check_published(raw, known)
        if (evidence.origin, evidence.size) != (known.origin, known.size):
            self._wrong("evidence.json", "it speaks of another checkpoint than the one in the pack")
        if len(evidence.entries) > len(self._files.names):
            self._wrong("evidence.json", "it speaks of more entries than there are files")
            return self._report(vouched, whole=False)
        for done, position in enumerate(sorted(set(evidence.entries)), 1):
            self._check_entry(position, known, raw)
            progress(done, len(evidence.entries))
        if f"cooperation/{evidence.cooperation}" not in self._following:
            words = f"it is about {evidence.cooperation}, of which there is no entry in the pack"
            self._wrong("evidence.json", words, "cooperation-missing")
        for document in evidence.documents:
            self._check_document(document)
        for citation in self._sources.citations:
            self._check_citation(citation)
        self._check_listed(evidence)
        undecided = self._check_against(against, known) if against else None
        return self._report(vouched, whole=True, undecided=undecided)

    def _wrong(self, file: str, words: str, code: str = "pack-malformed") -> None:
        self._findings.note(Finding(code, words, file=file))

    def _evidence(self) -> Evidence | None:
        raw = self._files.read("evidence.json", MAX_MANIFEST_BYTES)
        if raw is None:
            return None
        try:
            evidence = msgspec.json.decode(raw, type=Evidence)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
            self._wrong("evidence.json", f"it cannot be read: {refused}")
            return None
        if canonical.encode(evidence) != raw:
            self._wrong("evidence.json", "it is not in canonical form (RFC 8785)")
        self._check_manifest(evidence)
        return evidence

    def _check_manifest(self, evidence: Evidence) -> None:
        for before, position in pairwise(evidence.entries):
            if position <= before:
                self._wrong("evidence.json", f"it has entry {position} behind {before}: not in order, each once")
        for before, document in pairwise((one.source, one.sha256, one.media_type) for one in evidence.documents):
            if document <= before:
                self._wrong("evidence.json", f"it has document {document[1]} of {document[0]} out of order, or twice")
        for document in evidence.documents:
            if document.withdrawn and document.missing:
                self._wrong("evidence.json", f"it has document {document.sha256} as withdrawn and as missing")
        for name in sorted(set(AIDS).symmetric_difference(evidence.files)):
            has = "a hash" if name in evidence.files else "no hash"
            self._wrong("evidence.json", f"it has {has} of {name}: it has to have those of {' and '.join(AIDS)}")

    def _check_published(self, raw: bytes, known: Checkpoint) -> None:
        """Check that the keys in the pack are those of the checkpoint: others that are given vouch for it, not them."""
        note = Note.parse(raw)
        try:
            signers(note.text, note.signatures, known.origin, self._keys.published)
        except NoteError as refused:
            self._wrong("keys", f"they are not those that signed the checkpoint: {refused}", "checkpoint-forged")

    def _check_entry(self, position: int, known: Checkpoint, checkpoint: bytes) -> None:
        """Check an entry's form, that it follows the entries before and that of its stream, and its proof."""
        entry = self._files.read(f"entries/{position}.json", MAX_ENTRY_BYTES)
        proof = self._files.read(f"proofs/{position}.tlog-proof", MAX_NOTE_BYTES)
        if entry is None:
            return
        examined = examine(Chunk((Bundle(position, 1, None, None, (entry,)),)))
        self._findings.take(examined.findings)
        if self._last is not None and examined.first is not None:
            for code, words in differences(self._last, examined.first):
                self._findings.add(code, words, position=position)
        self._last = examined.last or self._last
        for one in _opened.decode(examined.streams):
            expected = self._following.get(one.stream, 0)
            if one.revision != expected:
                words = revision_words(one.stream, one.revision, expected)
                self._findings.add("revision-wrong", words, position=position)
            self._following[one.stream] = one.following
        self._sources.take(position, entry)
        if proof is not None:
            self._check_proof(position, leaf_hash(entry), proof, known, checkpoint)

    def _check_proof(self, position: int, leaf: bytes, raw: bytes, known: Checkpoint, checkpoint: bytes) -> None:
        try:
            proof = ProofFile.parse(raw)
            shown = proof.verify(leaf, self._keys.trusted, origin=known.origin)
        except VerificationError as refused:
            self._findings.add("proof-wrong", f"its proof does not hold: {refused}", position=position)
            return
        if proof.index != position:
            words = f"its proof is that of the position {proof.index}"
            self._findings.add("proof-wrong", words, position=position)
        elif (shown.size, shown.root) != (known.size, known.root):
            self._findings.add("proof-wrong", "its proof leads to another checkpoint", position=position)
        elif ProofFile(position, proof.path, checkpoint).encode() != raw:
            words = "its proof has more than it needs, or the checkpoint with other signatures"
            self._findings.add("proof-wrong", words, position=position)

    def _check_document(self, document: Document) -> None:
        name = f"documents/{document.sha256}"
        lengths = self._lengths.setdefault(document.source, [])
        size = self._sources.size(document.source, document.sha256, document.media_type)
        if size is None:
            words = f"no entry in the pack files it as {document.source}, of {document.media_type}"
            self._wrong(name, words, "document-unfiled")
        if document.withdrawn or document.missing:
            lengths.append(None)
            self._check_absent(document, name)
            return
        found = self._files.measure(name, MAX_MANIFEST_BYTES if size is None else size)
        lengths.append(found.characters if found is not None and document.media_type == PLAIN else None)
        if found is None:
            return
        if found.sha256 != document.sha256:
            self._wrong(name, f"it is not the document: its SHA-256 is {found.sha256}", "document-altered")
        elif document.media_type == PLAIN and found.characters is None:
            self._wrong(name, f"it is no text in UTF-8, and {document.source} says {PLAIN}", "document-altered")

    def _check_absent(self, document: Document, name: str) -> None:
        if document.missing:
            words = f"the document of {document.source} is missing: {MISSING[document.missing]}"
            self._wrong(name, words, f"document-{document.missing}")
        elif against := self._sources.against_withdrawal(document.sha256):
            self._wrong(name, f"the pack says that it was withdrawn, and {against}", "document-not-withdrawn")
        if name in self._files.names:
            said = "is missing" if document.missing else "was withdrawn"
            self._wrong(name, f"it is in the pack, which says that it {said}")

    def _check_citation(self, citation: Citation) -> None:
        position, source, start, end = citation
        lengths = self._lengths.get(source) if isinstance(source, str) else None
        known = [length for length in lengths or () if length is not None]
        if lengths is None:
            words = f"it cites {source}, of which there is no document in the pack"
        elif type(start) is not int or type(end) is not int or not 0 <= start < end:
            words = f"it cites {source} from {start} to {end}, which is no part of a text"
        elif known and end > max(known):
            words = f"it cites {source} from {start} to {end}, and its document has {max(known)} characters"
        else:
            return
        self._findings.add("citation-wrong", words, position=position)

    def _check_listed(self, evidence: Evidence) -> None:
        """Check what explains the pack, and that nothing is in it that the manifest does not speak of."""
        listed = {"evidence.json", "checkpoint", "keys", *AIDS}
        listed |= {f"entries/{position}.json" for position in evidence.entries}
        listed |= {f"proofs/{position}.tlog-proof" for position in evidence.entries}
        listed |= {f"documents/{document.sha256}" for document in evidence.documents}
        for name in AIDS:
            found = self._files.measure(name, MAX_MANIFEST_BYTES)
            if found is not None and found.sha256 != evidence.files.get(name, found.sha256):
                self._wrong(name, "it is not as it was put into the pack")
        for name in self._files.names:
            if name not in listed:
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
