"""A client that a generator makes from the OpenAPI document: whoever trusts the document can use the service."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import msgspec
import pytest

from events.merkle.checkpoint import Checkpoint
from events.merkle.note import VerifierKey
from services.registry.api import openapi
from services.registry.journal import Journal
from tests.support.service import Service

# Nobody reads its code; and a media type that the generator does not know is told to be of bytes, as its manual says.
CONFIG = """
post_hooks: []
content_type_overrides: {application/zip: application/octet-stream}
"""
TEXT = "The yard and the agency met in Tallinn. They spoke of quiet ferries."


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client's package, generated without a single warning from the document as it is served."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(msgspec.json.encode(openapi.document()))
    (folder / "config.yml").write_text(CONFIG, encoding="utf-8")
    asked = ["--path", "openapi.json", "--config", "config.yml", "--meta", "none", "--output-path", "registry_client"]
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", *asked],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("registry_client")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "registry_client"]:
            del sys.modules[name]


class Client:
    """The generated client, talking to the application; `call` raises for what the document says nothing of."""

    def __init__(self, package: ModuleType, service: Service, token: str) -> None:
        self._package = package
        transport = httpx.ASGITransport(Journal(service.app))  # type: ignore[arg-type]
        self._client = package.AuthenticatedClient(
            base_url="http://registry.test",
            token=token,
            raise_on_unexpected_status=True,
            httpx_args={"transport": transport},
        )

    def model(self, name: str, /, **fields: Any) -> Any:
        """Make one of the client's values."""
        return getattr(importlib.import_module(f"{self._package.__name__}.models"), name)(**fields)

    def file(self, content: bytes, media_type: str | None) -> Any:
        """Make a file to be sent: as bytes, since httpx reads no files from within an event loop."""
        types = importlib.import_module(f"{self._package.__name__}.types")
        return types.File(payload=content, file_name="document", mime_type=media_type)

    async def call(self, operation: str, *arguments: Any, **more: Any) -> Any:
        """Do one operation, named as its module: `commands.record_meeting`."""
        module = importlib.import_module(f"{self._package.__name__}.api.{operation}")
        return await module.asyncio(*arguments, client=self._client, **more)


@pytest.fixture
async def client(generated: ModuleType, service: Service) -> Client:
    token, _ = await service.token("reader", "recorder", "follower", "auditor", name="generated")
    return Client(generated, service, token)


async def register(client: Client, name: str, country: str) -> str:
    kind = client.model("RegisterPartyKind", value="company")
    body = client.model("RegisterParty", name=name, kind=kind, country=country)
    return (await client.call("commands.register_party", body=body)).id


async def open_cooperation(client: Client) -> tuple[str, str, str]:
    one, other = await register(client, "Quiet Ferries", "NO"), await register(client, "Sea Wind Yard", "EE")
    body = client.model("OpenCooperation", title="Quiet ferries", parties=[one, other], fields=["ferries"])
    return (await client.call("commands.open_cooperation", body=body)).id, one, other


def test_all_of_its_modules_can_be_imported(generated: ModuleType) -> None:
    names = [one.name for one in pkgutil.walk_packages(generated.__path__, f"{generated.__name__}.")]
    assert len(names) > 200
    for name in names:
        importlib.import_module(name)


async def test_it_records_a_meeting_and_reads_it_back(client: Client) -> None:
    cooperation, one, other = await open_cooperation(client)
    topic = client.model("Topic", kind=client.model("TopicKind", value="research"), subject="Silence at sea")
    raised = await client.call(
        "commands.raise_topic", cooperation, body=client.model("RaiseTopic", topic=topic), idempotency_key="topic"
    )
    recorded = await client.call(
        "commands.record_meeting",
        cooperation,
        body=client.model(
            "RecordMeeting",
            held="2019-06",
            participants=[
                client.model("Participant", party=one, role="engineers"),
                client.model("Participant", party=other),
            ],
            place=client.model("Place", country="EE", city="Tallinn"),
            topics=[raised.id],
            summary="They spoke of silence.",
        ),
        if_match=f'"{raised.revision}"',
    )
    size = str(recorded.size)
    read = await client.call("reads.get_meetings", recorded.id, registry_min_size=size)
    assert (read.id, read.cooperation, read.held, read.summary) == (
        recorded.id,
        cooperation,
        "2019-06",
        "They spoke of silence.",
    )
    assert (read.participants[0].party, read.participants[0].role) == (one, "engineers")
    assert read.place.city == "Tallinn"
    assert read.topics == [raised.id]
    assert read.names[other] == "Sea Wind Yard"
    assert read.position == recorded.entries[0].position
    listed = await client.call("reads.list_meetings", party=other, country="EE", registry_min_size=size)
    assert [item.to_dict() for item in listed.items] == [
        {key: value for key, value in read.to_dict().items() if key not in ("names", "survivors", "as_of")}
    ]
    before = await client.call("reads.list_meetings", as_of=str(recorded.size - 1))
    assert before.items == []


async def test_it_files_a_document_with_its_source_and_reads_the_words_that_are_cited(client: Client) -> None:
    metadata = client.model(
        "SourceMetadata", title="News", publisher="Quayside Gazette", published="2019-06-19", language="en"
    )
    document = client.file(TEXT.encode(), "text/plain")
    form = client.model("SourceWithDocument", metadata=metadata, document=document)
    source = await client.call("commands.file_source", body=form)
    citation = client.model("Citation", source=source.id, start=0, end=TEXT.index(" They"))
    kind = client.model("RegisterPartyKind", value="agency")
    party = await client.call(
        "commands.register_party",
        body=client.model("RegisterParty", name="Agency", kind=kind, country="NO", citations=[citation]),
    )
    read = await client.call("reads.get_parties", party.id, registry_min_size=str(party.size))
    assert [cited.quotation for cited in read.citations] == ["The yard and the agency met in Tallinn."]
    sha256 = (await client.call("reads.get_sources", source.id)).sha256
    assert await client.call("reads.get_document", sha256) == TEXT
    again = await client.call("commands.file_document", sha256, body=client.file(TEXT.encode(), None))
    assert (again.sha256, again.media_type, again.characters) == (sha256, "text/plain", len(TEXT))


async def test_it_tells_what_is_wrong_with_a_request(client: Client) -> None:
    cooperation, one, _ = await open_cooperation(client)
    alone = [client.model("Participant", party=one)]
    meeting = client.model("RecordMeeting", held="2019-06", participants=alone)
    refused = await client.call("commands.record_meeting", cooperation, body=meeting)
    assert (refused.status, refused.code) == (409, "too-few-parties")
    meeting.held = "in June"
    refused = await client.call("commands.record_meeting", cooperation, body=meeting)
    assert (refused.status, refused.code) == (422, "invalid-field")
    assert [problem.pointer for problem in refused.errors] == ["/held", "/participants"]


async def test_it_follows_what_was_promised(client: Client) -> None:
    cooperation, one, other = await open_cooperation(client)
    visit = await client.call(
        "commands.schedule_visit",
        cooperation,
        body=client.model(
            "ScheduleVisit",
            visitors=[client.model("Participant", party=other)],
            host=one,
            place=client.model("Place", country="NO"),
            window="2019-07",
            purpose="Hear the silence",
        ),
    )
    size = str(visit.size)
    timeline = await client.call("reads.timeline_cooperations", cooperation, registry_min_size=size)
    assert {(thing.kind, thing.item.id) for thing in timeline.items} == {
        ("visit", visit.id),
        ("cooperation", cooperation),
    }
    commitments = await client.call("reads.list_commitments")
    assert [(item.id, item.due_to.isoformat(), item.overdue) for item in commitments.items] == [
        (visit.id, "2019-07-31", True)
    ]
    found = await client.call("reads.search", q="silence")
    assert [(hit.kind, hit.id, hit.cooperation) for hit in found.items] == [("visit", visit.id, cooperation)]
    entries = await client.call("log.list_entries", subject=f"cooperation/{cooperation}")
    assert [entry.type_ for entry in entries.items] == [
        "registry.cooperation-opened.v1",
        "registry.visit-scheduled.v1",
    ]


async def test_it_fetches_proof_of_what_it_recorded(client: Client, service: Service) -> None:
    cooperation, _, _ = await open_cooperation(client)
    assert service.parts.signer is not None
    await service.parts.signer.sign()
    keys = [VerifierKey.parse(line) for line in (await client.call("log.get_keys")).splitlines()]
    assert Checkpoint.verified((await client.call("log.get_checkpoint")).encode(), keys).size == 3
    proof = await client.call("log.prove_entry", 2)
    assert (proof.position, proof.size, len(proof.path)) == (2, 3, 1)
    pack = await client.call("log.get_evidence", cooperation)
    with zipfile.ZipFile(pack.payload) as opened:
        assert {"evidence.json", "entries/2.json", "proofs/2.tlog-proof", "verify.py"} <= set(opened.namelist())
