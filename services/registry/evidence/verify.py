"""Check an evidence pack of a cooperation registry, with nothing but this file and Python 3.9 or later.

    python3 verify.py [--key KEY]... [PACK]

PACK is the zip archive, or the folder it was unpacked to; the folder of this file if it is left out. KEY is a key that
you know to be the registry's, or a witness's (name+id+key, as it is published): one of those given has to have signed
the checkpoint. Without any the keys in the pack are believed, which shows that the pack is whole, but not whose it is.

Prints a line for each thing that was checked, OK or WRONG. Exit status: 0 all is right, 1 something is wrong, 2 there
is no pack, or this was called wrongly. README.html says what is shown by it, and what is not.

Checked are: the signatures of the checkpoint (C2SP signed-note, tlog-cosignature), the proof of each entry (C2SP
tlog-proof, RFC 9162), that no revision of a stream is missing before the last one shown, the SHA-256 of each document
against the entry that filed it, of a document that was withdrawn the entry that says so, that each citation lies within
its document, and that all is in the pack that has to be and nothing besides. Not checked are whether a document is left
out that no citation needs, and what a zip has between its files, which no program that unpacks it takes for one.
"""

# pyright: basic
# It is read by people who know nothing of the registry, and given JSON that anybody may have made.

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

MAX_BYTES = 64 * 2**20  # of one file; documents have 50 MiB at the most
MAX_SIZE = 2**64 - 1
KEY_BYTES, HASH_BYTES, SIGNATURE_BYTES = 32, 32, 64
ED25519, COSIGNATURE = 1, 4
PROOF = "c2sp.org/tlog-proof@v1"
AIDS = ("README.html", "verify.py")
FIELDS = {"cooperation", "size", "origin", "entries", "documents", "files"}
WITHDRAWN = "registry.source-withdrawn.v1"
END_BYTES = 22  # of what ends a zip, if there is no comment
OF_DOCUMENT = {"sha256", "source", "media_type", "withdrawn"}
MISSING = {
    "gone": "what the registry kept of it is gone",
    "damaged": "what the registry keeps of it is damaged",
}


class Wrong(Exception):
    """Something is not as it has to be."""


# Ed25519 (RFC 8032, section 5.1). Points are in extended coordinates: X/Z, Y/Z and XY/Z.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Add two points of the curve."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiplied(scalar: int, point: tuple[int, ...]) -> tuple[int, ...]:
    """Add a point to itself so many times."""
    total: tuple[int, ...] = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = added(total, point)
        point = added(point, point)
        scalar >>= 1
    return total


def encoded(point: tuple[int, ...]) -> bytes:
    """Write a point."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(KEY_BYTES, "little")


def decoded(raw: bytes) -> tuple[int, ...]:
    """Read a point."""
    number = int.from_bytes(raw, "little")
    y, sign = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise Wrong("a key is no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decoded((4 * pow(5, P - 2, P) % P).to_bytes(KEY_BYTES, "little"))


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a key signed a message."""
    nonce, scalar = signature[:KEY_BYTES], int.from_bytes(signature[KEY_BYTES:], "little")
    if len(signature) != SIGNATURE_BYTES or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(nonce + public + message).digest(), "little") % ORDER
    x, y, z, t = decoded(public)
    return encoded(added(multiplied(scalar, BASE), multiplied(challenge, (P - x, y, z, P - t)))) == nonce


# Notes, checkpoints and proofs, as C2SP defines them.


class Key(NamedTuple):
    """A key that signatures are verified with."""

    name: str
    key_id: bytes
    algorithm: int
    public: bytes


class Checkpoint(NamedTuple):
    """A tree head, as it is signed and published, and what it says."""

    raw: bytes
    origin: str
    size: int
    root: bytes


def from_base64(text: str) -> bytes:
    """Decode base64 that is written in its one form."""
    if not re.fullmatch("[A-Za-z0-9+/]+={0,2}", text) or len(text) % 4:
        raise Wrong("this is not base64")
    raw = base64.b64decode(text)
    if base64.b64encode(raw).decode() != text:
        raise Wrong("this is not base64 in its one form")
    return raw


def hash_of(text: str) -> bytes:
    """Decode a hash."""
    raw = from_base64(text)
    if len(raw) != HASH_BYTES:
        raise Wrong(f"a hash has {HASH_BYTES} bytes")
    return raw


def number_of(text: str) -> int:
    """Read a number without leading zeros."""
    if not re.fullmatch("0|[1-9][0-9]{0,19}", text) or int(text) > MAX_SIZE:
        raise Wrong("this is not a number from 0 to 2^64 - 1")
    return int(text)


def text_of(raw: bytes) -> str:
    """Decode UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("this is not UTF-8") from None


def key_of(text: str) -> Key:
    """Read a key: its name, its id in hexadecimal and its bytes in base64, with a plus between."""
    name, _, rest = text.partition("+")
    said, _, material = rest.partition("+")
    if not name or any(character.isspace() for character in name):
        raise Wrong("a key is name+id+key")
    raw = from_base64(material)
    key = Key(name, hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4], raw[0], raw[1:])
    if key.key_id.hex() != said:
        raise Wrong("a key's id is not that of the key")
    if key.algorithm in (ED25519, COSIGNATURE) and len(key.public) != KEY_BYTES:
        raise Wrong(f"a key has {KEY_BYTES} bytes")
    return key


def keys_of(raw: bytes) -> list[Key]:
    """Read keys, one a line."""
    *lines, rest = text_of(raw).split("\n")
    if rest or not lines:
        raise Wrong("the keys are cut short")
    keys = [key_of(line) for line in lines]
    if len(set(keys)) < len(keys):
        raise Wrong("a key is named twice")
    return keys


def signed_by(key: Key, text: bytes, signature: bytes) -> bool:
    """Tell whether a key signed, or cosigned, the text of a note."""
    if key.algorithm == COSIGNATURE:
        time = int.from_bytes(signature[:8], "big")
        return ed25519(key.public, b"cosignature/v1\ntime %d\n" % time + text, signature[8:])
    return key.algorithm == ED25519 and ed25519(key.public, text, signature)


def verified_note(raw: bytes, keys: Sequence[Key]) -> tuple[str, list[Key]]:
    """Return a note's text, and which of the keys signed it: one at least."""
    text, blank, signed = text_of(raw).rpartition("\n\n")
    *lines, rest = signed.split("\n")
    if not blank or rest or not lines:
        raise Wrong("there is no text, or no signature behind an empty line")
    signers: list[Key] = []
    for line in lines:
        found = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line)
        if not found:
            raise Wrong("a line of the signatures is none")
        blob = from_base64(found[2])
        for key in keys:
            if (key.name, key.key_id) == (found[1], blob[:4]):
                if not signed_by(key, f"{text}\n".encode(), blob[4:]):
                    raise Wrong(f"the signature of {key.name} is wrong")
                signers.append(key)
    if not signers:
        raise Wrong("none of the keys signed it")
    return f"{text}\n", list(dict.fromkeys(signers))


def checkpoint_of(raw: bytes, text: str) -> Checkpoint:
    """Read what the text of a checkpoint says."""
    *lines, rest = text.split("\n")
    if rest or not all(lines) or len(lines) <= len(("origin", "size")):
        raise Wrong("a checkpoint has three lines or more, and none is empty")
    return Checkpoint(raw, lines[0], number_of(lines[1]), hash_of(lines[2]))


def must_prove(proof: bytes, position: int, entry: bytes, checkpoint: Checkpoint) -> None:
    """Return if a proof file shows that an entry is at a position in the tree of the checkpoint."""
    head, blank, note = proof.partition(b"\n\n")
    first, *lines = text_of(head).split("\n")
    if not blank or first != PROOF or not lines:
        raise Wrong("its proof is none")
    if note != checkpoint.raw or lines[0] != f"index {position}" or position >= checkpoint.size:
        raise Wrong("its proof is of another entry, or leads to another checkpoint")
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    if root_by(leaf, position, checkpoint.size, [hash_of(line) for line in lines[1:]]) != checkpoint.root:
        raise Wrong("its proof does not lead from it to the checkpoint: the entry or the proof was altered")


def root_by(leaf: bytes, position: int, size: int, path: Sequence[bytes]) -> bytes:
    """Follow a path from a leaf to a root (RFC 9162, section 2.1.3.2)."""
    here, last, node = position, size - 1, leaf
    for other in path:
        if last == 0:
            raise Wrong("its proof is too long")
        if here & 1 or here == last:
            node = hashlib.sha256(b"\x01" + other + node).digest()
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + other).digest()
        here, last = here >> 1, last >> 1
    if last:
        raise Wrong("its proof is too short")
    return node


# What a pack is made of


def object_of(raw: bytes) -> dict[str, Any]:
    """Read a JSON object in the one form that it has in the registry: keys sorted, no white space."""
    try:
        value = json.loads(text_of(raw))
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Wrong("this is not JSON") from None
    if not isinstance(value, dict) or again != raw:
        raise Wrong("this is no JSON object in its one form")
    return value


def citations(value: Any) -> Iterator[dict[str, Any]]:
    """Find the citations in an event, wherever they stand."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if set(one) == {"source", "start", "end"}:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def document_of(entries: dict[int, dict[str, Any]]) -> Any:
    """Return the SHA-256 of what a source is over as of its last entry; None if it was withdrawn or retracted."""
    if any(entry["type"] == WITHDRAWN for entry in entries.values()):
        return None
    out: set[Any] = set()
    for position in reversed(list(entries)):
        if position not in out:
            out.add(entries[position]["data"].get("retracts"))
    stands = [entry["data"] for position, entry in entries.items() if position not in out]
    hashes = [said["sha256"] for said in (one.get("replacement", one) for one in stands) if "sha256" in said]
    return hashes[-1] if hashes and min(entries) not in out else None


class Pack:
    """The files of a pack, in a folder or in an archive."""

    def __init__(self, path: Path) -> None:
        self._folder = path
        self._archive = None if path.is_dir() else zipfile.ZipFile(path)
        if self._archive is None:
            self.names = [one.relative_to(path).as_posix() for one in path.rglob("*") if not one.is_dir()]
        else:
            self.names = self._archive.namelist()
        self.known = set(self.names)

    def is_padded(self) -> bool:
        """Tell whether there is something ahead of an archive's first file, or behind its end."""
        if self._archive is None:
            return False
        with self._folder.open("rb") as file:
            file.seek(-END_BYTES, 2)
            end = file.read()
        first = min((one.header_offset for one in self._archive.infolist()), default=0)
        return first != 0 or not end.startswith(b"PK\5\6") or end[-2:] != b"\0\0"

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        if self._archive is None and not (self._folder / name).is_file():
            raise Wrong(f"{name} cannot be read (there is no such file)")
        try:
            with self._archive.open(name) if self._archive else (self._folder / name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except Exception as error:  # noqa: BLE001 - zipfile raises whatever it likes of an archive that is damaged
            raise Wrong(f"{name} cannot be read ({type(error).__name__})") from None
        if len(content) > MAX_BYTES:
            raise Wrong(f"{name} is larger than anything in a pack")
        return content


class Check:
    """Checks a pack, thing by thing; `wrong` is how many were."""

    def __init__(self, pack: Pack, trusted: Sequence[Key], tell: Callable[[str], None]) -> None:
        self._pack = pack
        self._trusted = trusted
        self._tell = tell
        self._said: dict[str, Any] = {}  # evidence.json
        self._checkpoint: Checkpoint | None = None
        self._entries: dict[int, dict[str, Any]] = {}  # those that are proved
        self._sources: dict[str, dict[int, dict[str, Any]]] = {}  # those of them about sources, by source
        self._filed: dict[str, set[tuple[str, str]]] = {}  # by source: hashes and media types, as entries say
        self._lengths: dict[
            str, list[int | None]
        ] = {}  # by source: characters of its documents, None if not to be read
        self.wrong = 0

    def run(self) -> None:
        """Check everything."""
        self._of("evidence.json", self._check_evidence)
        if self._said:
            for name in AIDS:
                self._of(name, self._check_aid, name)
            self._of("checkpoint", self._check_checkpoint)
            for position in self._said["entries"]:
                self._of(f"entries/{position}.json", self._check_entry, position)
            self._of("streams", self._check_streams)
            for document in self._said["documents"]:
                self._of(f"documents/{document['sha256']}", self._check_document, document)
            self._of("sources", self._check_sources)
            for position, entry in self._entries.items():
                for citation in citations(entry["data"]):
                    self._of(f"a citation in entry {position}", self._check_citation, citation)
            self._of("files", self._check_files)

    def _of(self, what: str, check: Callable[..., str], *about: Any) -> None:
        try:
            found, says = "OK   ", check(*about)
        except Wrong as wrong:
            found, says = "WRONG", str(wrong)
        except Exception as error:  # noqa: BLE001 - whatever it was made of, it is not in form: that is the answer
            found, says = "WRONG", f"not in form ({type(error).__name__})"
        self.wrong += found == "WRONG"
        self._tell(f"{found}  {what}: {says}")

    def _check_evidence(self) -> str:
        said = object_of(self._pack.read("evidence.json"))
        if set(said) != FIELDS or set(said["files"]) != set(AIDS):
            raise Wrong("it has not the fields that it has to have")
        entries, documents = said["entries"], said["documents"]
        if not all(type(one) is int and 0 <= one < MAX_SIZE for one in entries) or sorted(set(entries)) != entries:
            raise Wrong("the positions of its entries are not numbers that rise")
        if len(entries) > len(self._pack.names):
            raise Wrong("it lists more entries than there are files")
        if any(set(one) - {"missing"} != OF_DOCUMENT or type(one["withdrawn"]) is not bool for one in documents):
            raise Wrong("a document has not the fields that it has to have")
        if any("missing" in one and (one["missing"] not in MISSING or one["withdrawn"]) for one in documents):
            raise Wrong("a document is missing for no reason that there is")
        if not all(re.fullmatch("[0-9a-f]{64}", one["sha256"]) for one in documents):
            raise Wrong("the SHA-256 of a document is none")
        listed = [(one["source"], one["sha256"], one["media_type"]) for one in documents]
        if sorted(set(listed)) != listed:
            raise Wrong("its documents are not in order, or one is there twice")
        self._said = said
        return f"{len(entries)} entries and {len(documents)} documents about {said['cooperation']}"

    def _check_aid(self, name: str) -> str:
        if hashlib.sha256(self._pack.read(name)).hexdigest() != self._said["files"][name]:
            raise Wrong("it is not as it was put into the pack")
        return "as it was put into the pack"

    def _check_checkpoint(self) -> str:
        raw = self._pack.read("checkpoint")
        published = keys_of(self._pack.read("keys"))
        text, signers = verified_note(raw, published)
        whose = "a key that the pack itself brings, and nobody vouches for"
        if self._trusted:
            text, signers = verified_note(raw, self._trusted)
            whose = "a key that you gave"
        checkpoint = checkpoint_of(raw, text)
        if (checkpoint.origin, checkpoint.size) != (self._said["origin"], self._said["size"]):
            raise Wrong("it is of another log or size than evidence.json says")
        if not any(key.name == checkpoint.origin for key in published):
            raise Wrong("none of the keys is the log's own")
        self._checkpoint = checkpoint
        names = ", ".join(f"{key.name}+{key.key_id.hex()}" for key in signers)
        return f"{checkpoint.size} entries of {checkpoint.origin}, signed by {names}: {whose}"

    def _check_entry(self, position: int) -> str:
        raw = self._pack.read(f"entries/{position}.json")
        proof = self._pack.read(f"proofs/{position}.tlog-proof")
        if self._checkpoint is None:
            raise Wrong("without a checkpoint there is nothing to prove it by")
        must_prove(proof, position, raw, self._checkpoint)
        entry = object_of(raw)
        if entry["sequence"] != str(position):
            raise Wrong("it says that it is at another position")
        kind, _, key = entry["subject"].partition("/")
        if kind == "source":
            self._sources.setdefault(key, {})[position] = entry
        for said in (entry["data"], entry["data"].get("replacement")):
            if kind == "source" and isinstance(said, dict) and "sha256" in said:
                self._filed.setdefault(key, set()).add((said["sha256"], said["media_type"]))
        self._entries[position] = entry
        return f"proved; {entry['type']} of {entry['subject']}, recorded {entry['time']}"

    def _check_streams(self) -> str:
        following: dict[str, int] = {}
        time = ""
        for position, entry in self._entries.items():
            stream, revision = entry["subject"], entry["revision"]
            if revision != following.get(stream, 0) or entry["time"] < time:
                raise Wrong(f"entry {position} does not follow: another entry of {stream} is missing, or it is older")
            following[stream], time = revision + 1, entry["time"]
        if f"cooperation/{self._said['cooperation']}" not in following:
            raise Wrong("there is no entry of the cooperation")
        return f"{len(following)} of them, each without a gap from its beginning on"

    def _check_document(self, said: dict[str, Any]) -> str:
        sha256, source, media_type = said["sha256"], said["source"], said["media_type"]
        if (sha256, media_type) not in self._filed.get(source, ()):
            raise Wrong(f"no entry of {source} says that its document is this, of {media_type}")
        lengths, name = self._lengths.setdefault(source, []), f"documents/{sha256}"
        lengths.append(None)
        if said["withdrawn"]:
            if name in self._pack.known:
                raise Wrong("it is said to be withdrawn, and is there")
            self._must_be_withdrawn(sha256)
            return f"withdrawn; what cites {source} cannot be read any more"
        if "missing" in said:
            if name in self._pack.known:
                raise Wrong("it is said to be missing, and is there")
            raise Wrong(f"it is missing: {MISSING[said['missing']]}; what cites {source} cannot be checked")
        content = self._pack.read(name)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Wrong("it was altered: its SHA-256 is not that of the entry that filed it")
        if media_type == "text/plain":
            lengths[-1] = len(text_of(content))
        return f"the document of {source}, {len(content)} bytes of {media_type}"

    def _must_be_withdrawn(self, sha256: str) -> None:
        over = [source for source, filed in self._filed.items() if any(one == sha256 for one, _ in filed)]
        if not any(entry["type"] == WITHDRAWN for source in over for entry in self._sources[source].values()):
            raise Wrong("it is said to be withdrawn, and no entry withdraws a source that it was the document of")
        kept = [source for source in over if document_of(self._sources[source]) == sha256]
        if kept:
            raise Wrong(f"it is said to be withdrawn, and {kept[0]}, which was not withdrawn, is over it")

    def _check_sources(self) -> str:
        bare = sorted(set(self._filed) - set(self._lengths))
        return f"{len(self._filed)}, " + (f"no document was filed of {', '.join(bare)}" if bare else "with documents")

    def _check_citation(self, said: dict[str, Any]) -> str:
        source, start, end = said["source"], said["start"], said["end"]
        if source not in self._lengths:
            raise Wrong(f"the document of {source} is missing")
        if type(start) is not int or type(end) is not int or not 0 <= start < end:
            raise Wrong("it is no part of a text")
        known = [length for length in self._lengths[source] if length is not None]
        if known and end > max(known):
            raise Wrong(f"the document of {source} has no character {end}")
        return f"characters {start} to {end} of {source}" + ("" if known else ", which cannot be read any more")

    def _check_files(self) -> str:
        expected = {"evidence.json", "checkpoint", "keys", *AIDS}
        for position in self._said["entries"]:
            expected |= {f"entries/{position}.json", f"proofs/{position}.tlog-proof"}
        given = [one for one in self._said["documents"] if not one["withdrawn"] and "missing" not in one]
        expected |= {f"documents/{one['sha256']}" for one in given}
        strange = sorted(expected.symmetric_difference(self._pack.names))
        if strange or len(self._pack.names) != len(expected):
            raise Wrong(f"these are missing, or too many: {', '.join(strange[:5]) or 'one is there twice'}")
        if self._pack.is_padded():
            raise Wrong("the archive has something ahead of its first file, or behind its end")
        return f"{len(expected)}, and nothing besides"


def told(line: str) -> None:
    """Print a line so that a terminal shows what is in it, and does nothing else."""
    sys.stdout.write("".join(one if " " <= one <= "~" else ascii(one)[1:-1] for one in line) + "\n")


def refuse(says: str) -> NoReturn:
    """End for want of a pack."""
    sys.stderr.write(f"verify.py: {ascii(says)[1:-1]}\n")
    sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a pack and return the exit status."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Check an evidence pack of a cooperation registry.")
    parser.add_argument("--key", action="append", default=[], help="a key that you know to be the registry's")
    parser.add_argument("pack", nargs="?", type=Path, default=Path(__file__).resolve().parent, help="zip or folder")
    given = parser.parse_args(arguments)
    try:
        keys = list(dict.fromkeys(key_of(text) for text in given.key))
    except Wrong as wrong:
        refuse(f"--key: {wrong}")
    if not given.pack.exists():
        refuse(f"{given.pack} is not there")
    try:
        pack = Pack(given.pack)
    except Exception as error:  # noqa: BLE001 - as of `Pack.read`
        told(f"WRONG  {given.pack}: it cannot be opened ({type(error).__name__})")
        return 1
    check = Check(pack, keys, told)
    check.run()
    if not keys:
        told("Nobody said which key is the registry's: ask somebody you trust, and give it with --key.")
    told(f"{check.wrong} things are WRONG." if check.wrong else "All of it is right.")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
