"""A person is erased: their name is nowhere from then on, was never in the database's files, and every proof holds.

The whole registry as it is deployed, in processes of its own over a PostgreSQL of its own: what the API says of every
size, the log's entries and bundles, an export, an evidence pack, the calendar, the access record, the service's log
lines, and each file of the database, the write-ahead log included.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from events.entry import leaf_hash
from events.merkle.checkpoint import Checkpoint, ProofFile
from events.merkle.note import VerifierKey
from projections import LISTED
from services.registry.access import tokens
from services.registry.clock import now
from tests.support.check_log import check_log
from tests.support.console import registry
from tests.support.folders import files_with
from tests.support.processes import ORIGIN, Deployment, deployed
from tests.support.service import ALL_ROLES, OPERATOR

NAME, CONTACT = "Zenobia Quillfeather", "zenobia@quillfeather.example"
OTHER = "Another Person"
DOCUMENT = f"Among those who came was {NAME}.".encode()
UNCITED = b"Guests: QUILLFEATHER,\n  Zenobia; and nobody else."
PERSONAL = ("Zenobia", "zenobia", "Quillfeather", "quillfeather", "QUILLFEATHER")


class Registry:
    """A deployment, a client with every role, and what was recorded in it."""

    def __init__(self, deployment: Deployment, client: httpx.AsyncClient) -> None:
        self.deployment = deployment
        self.client = client
        self.size = 0
        self.person = ""
        self.other = ""  # somebody whose name was corrected into theirs
        self.of_other = ""  # over a document that names the other as they were called before
        self.cooperation = ""
        self.source = ""  # over a document that names them, and is cited
        self.uncited = ""  # over another one, which nothing cites

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        self.size = int(answer.headers["Registry-Size"])
        recorded: dict[str, Any] = answer.json()
        return recorded

    async def get(self, path: str, **headers: str) -> bytes:
        names = {"Registry-Min-Size": str(self.size)}
        answer = await self.client.get(path, headers={**names, **{k.replace("_", "-"): v for k, v in headers.items()}})
        assert answer.status_code == 200, (path, answer.text)
        return answer.content

    async def everything(self) -> dict[str, bytes]:
        """Every answer that could name somebody, as of every size."""
        found: dict[str, bytes] = {}
        for size in range(self.size + 1):
            for model in LISTED:
                path = f"/v1/{model.name}?limit=500&as_of={size}"
                found[path] = await self.get(path)
            for path in ("/v1/search?q=zenobia", "/v1/search?q=quillfeather", "/v1/statistics?by=month"):
                found[f"{path}&as_of={size}"] = await self.get(f"{path}&as_of={size}")
        found["person"] = await self.get(f"/v1/people/{self.person}")
        found["timeline"] = await self.get(f"/v1/cooperations/{self.cooperation}/timeline")
        found["calendar"] = await self.get("/v1/calendar.ics")
        found["access"] = await self.get("/v1/access")
        for name, content in (("document", DOCUMENT), ("uncited document", UNCITED)):
            document = await self.client.get(f"/v1/documents/{hashlib.sha256(content).hexdigest()}")
            found[name] = document.content
        for path in ("/v1/people", "/v1/meetings", "/v1/log/entries"):
            found[f"{path} lines"] = await self.get(path, Accept="application/x-ndjson")
        for path in ("/v1/people", "/v1/meetings"):
            found[f"{path} table"] = await self.get(path, Accept="text/csv")
        for position in range(self.size):
            found[f"entry {position}"] = await self.get(f"/v1/log/entries/{position}")
        found["bundle"] = await self.get(f"/log/tile/entries/000.p/{self.size}")
        return found


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Registry]:
    async with deployed(folder) as deployment:
        with deployment.start("serve"), deployment.start("project"):
            await deployment.ready()
            connection = await asyncpg.connect(deployment.access.service)
            token, _ = await tokens.create(connection, name="tests", roles=ALL_ROLES, by=OPERATOR, now=now())
            await connection.close()
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=deployment.base_url, headers=headers, timeout=30) as client:
                yield Registry(deployment, client)
        await check_log(deployment.access.service)


async def file(registry_: Registry, content: bytes) -> str:
    """File a document and a source over it."""
    sha256 = hashlib.sha256(content).hexdigest()
    said = {"media_type": "text/plain", "sha256": sha256, "size": len(content)}
    source = {"title": "Report", "publisher": "Paper", "published": "2019-06", "language": "en", **said}
    identifier: str = (await registry_.post("/v1/sources", source))["id"]
    media_type = {"Content-Type": "text/plain"}
    filed = await registry_.client.put(f"/v1/documents/{sha256}", content=content, headers=media_type)
    assert filed.status_code == 201, filed.text
    return identifier


async def record(registry_: Registry) -> None:
    """Have the person take part in what can name somebody."""
    post = registry_.post
    parties = [
        (await post("/v1/parties", {"name": name, "kind": "agency", "country": "NO"}))["id"] for name in ("One", "Two")
    ]
    registry_.source, registry_.uncited = await file(registry_, DOCUMENT), await file(registry_, UNCITED)
    registry_.of_other = await file(registry_, f"{OTHER} was there.".encode())
    cited = {"citations": [{"source": registry_.source, "start": 0, "end": len(DOCUMENT)}]}
    registry_.person = (await post("/v1/people", {"name": NAME, "contact": CONTACT, **cited}))["id"]
    await post(f"/v1/people/{registry_.person}/appoint", {"party": parties[0], "post": "adviser"})
    opened_ = await post("/v1/cooperations", {"title": "First", "parties": parties, "fields": ["research"]})
    registry_.cooperation = opened_["id"]
    sides = [{"party": parties[0], "person": registry_.person, "role": "adviser"}, {"party": parties[1]}]
    on = f"/v1/cooperations/{registry_.cooperation}"
    await post(f"{on}/meetings", {"held": "2019-06", "participants": sides, "summary": "They met."})
    visit = {"visitors": [sides[0]], "host": parties[1], "place": {"country": "NO"}, "window": "2019-07-03"}
    await post(f"{on}/visits", {**visit, "purpose": "To go on"})
    entry = (await post("/v1/people", {"name": OTHER}))["entries"][0]["position"]
    await post(f"/v1/log/entries/{entry}/correct", {"reason": "misread", "replacement": {"name": f"Not {NAME}"}})
    registry_.other = (await registry_.client.get(f"/v1/log/entries/{entry}")).json()["subject"].partition("/")[2]


async def checkpoint_of(registry_: Registry) -> Checkpoint:
    keys = [VerifierKey.parse(line) for line in (await registry_.get("/log/keys")).decode().splitlines()]
    return Checkpoint.verified(await registry_.get("/log/checkpoint"), keys, origin=ORIGIN)


def files_of(pack: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack)) as opened_:
        return {name: opened_.read(name) for name in opened_.namelist()}


def named(found: dict[str, bytes]) -> list[str]:
    return [where for where, content in found.items() for name in PERSONAL if name.encode() in content]


async def test_an_erased_persons_name_is_nowhere_and_everything_is_still_proved(tmp_path: Path):
    async with opened(tmp_path) as registry_:
        await record(registry_)
        before = await registry_.everything()
        assert {"person", "timeline", f"/v1/people?limit=500&as_of={registry_.size}"} <= set(named(before))
        assert not [where for where in named(before) if where.startswith(("entry", "bundle", "access"))]
        await registry_.deployment.signed()
        proofs = {
            position: await registry_.get(f"/v1/log/entries/{position}/proof", Accept="text/plain")
            for position in range(registry_.size)
        }
        leaves = {position: leaf_hash(before[f"entry {position}"]) for position in proofs}
        kept = await checkpoint_of(registry_)
        assert files_with(tmp_path / "postgres", PERSONAL) == []

        pack = f"/v1/cooperations/{registry_.cooperation}/evidence"
        assert named(files_of(await registry_.get(pack))) == [f"documents/{hashlib.sha256(DOCUMENT).hexdigest()}"] * 2
        order = {"authority": "the court", "reason": "asked to be"}
        naming = {registry_.person: {registry_.source, registry_.uncited}, registry_.other: {registry_.of_other}}
        for person, sources in naming.items():
            refused = await registry_.client.post(f"/v1/people/{person}/erase", json=order)
            assert (refused.status_code, refused.json()["code"]) == (409, "documents-name-person")
            told = {one["detail"] for one in refused.json()["errors"]}
            assert told == {f"{one} (Report) names them" for one in sources}
            erased = await registry_.post(f"/v1/people/{person}/erase", {**order, "documents": "withdraw"})
            assert len(erased["entries"]) == 1 + len(sources)

        after = await registry_.everything()
        assert named(after) == []
        assert all(after[f"entry {position}"] == before[f"entry {position}"] for position in proofs)

        await registry_.deployment.signed()
        keys = [VerifierKey.parse(line) for line in (await registry_.get("/log/keys")).decode().splitlines()]
        for position, proof in proofs.items():
            ProofFile.parse(proof).verify(leaves[position], keys, origin=ORIGIN)
        assert (await checkpoint_of(registry_)).size == registry_.size > kept.size

        assert named(files_of(await registry_.get(pack))) == []
        (tmp_path / "evidence.zip").write_bytes(await registry_.get(pack))
        (tmp_path / "kept").write_bytes(proofs[0].partition(b"\n\n")[2])
        export = tmp_path / "export"
        settings = registry_.deployment.settings
        done = registry("log", "export", str(export), settings=settings)
        assert done.returncode == 0, done.stderr
        assert not [path for path in export.rglob("*") if path.is_file() and named({"": path.read_bytes()})]
        told = [done.stdout, done.stderr]
        for what in ([str(export), "--against", str(tmp_path / "kept")], [str(tmp_path / "evidence.zip")], []):
            verified = registry("verify", *what, settings=settings)
            assert verified.returncode == 0, (what, verified.stdout, verified.stderr)
            told += [verified.stdout, verified.stderr]
        history = registry("replay", settings=settings)
        assert history.returncode == 0, history.stderr
        told += [history.stdout, history.stderr, (tmp_path / "registry.log").read_text(encoding="utf-8")]
        assert not [name for name in PERSONAL for text in told if name in text]

        administrator = await asyncpg.connect(registry_.deployment.postgres.dsn(), database="registry")
        await administrator.execute("CHECKPOINT")
        await administrator.close()
        assert files_with(tmp_path / "postgres", PERSONAL) == []
