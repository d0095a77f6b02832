"""The log as others verify it over HTTP: checkpoint, keys, tiles, bundles, proofs, and what asks for none of these."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from events.entry import leaf_hash
from events.merkle.checkpoint import Checkpoint, ProofFile, hash_of
from events.merkle.note import VerifierKey
from events.merkle.proofs import verify_consistency, verify_inclusion
from events.merkle.tiles import decode_bundle, hashes_of
from events.merkle.tree import EMPTY_ROOT, root_of
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.refusals import refused
from tests.support.service import ORIGIN, Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRIES = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def audited(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A registry with 300 entries, all of them under a checkpoint."""
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path_factory.mktemp("audited")) as running:
            for first in range(0, ENTRIES, 100):
                commands = [
                    {
                        "command": "register-party",
                        "data": {"name": f"Yard {first + number}", "kind": "company", "country": "NO"},
                    }
                    for number in range(100)
                ]
                await running.post("/v1/batch", {"commands": commands})
            await sign(running)
            yield running
        await check_log(database.admin_dsn)


async def sign(service: Service) -> Checkpoint:
    assert service.parts.signer is not None
    return (await service.parts.signer.sign()).checkpoint


async def get(service: Service, path: str, **headers: str) -> Any:
    answer = await service.client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    assert answer.status_code == 200, answer.text
    return answer


async def keys(service: Service) -> list[VerifierKey]:
    return [VerifierKey.parse(line) for line in (await get(service, "/log/keys")).text.splitlines()]


async def leaves(service: Service) -> list[bytes]:
    rows = await service.parts.pool.fetch("SELECT bytes FROM log.entry ORDER BY position")
    return [leaf_hash(row["bytes"]) for row in rows]


async def test_the_checkpoint_is_signed_by_a_published_key_and_has_the_root_of_the_leaves(audited: Service):
    answer = await get(audited, "/log/checkpoint")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    checkpoint = Checkpoint.verified(answer.content, await keys(audited), origin=ORIGIN)
    assert checkpoint.size == ENTRIES
    assert checkpoint.root == root_of(await leaves(audited))


async def test_checkpoint_keys_origins_and_tiles_are_open_to_all_and_bundles_are_not(audited: Service):
    async with audited.anonymous() as anybody:
        for path in ("/log/checkpoint", "/log/keys", "/log/origins", "/log/tile/0/000"):
            assert (await anybody.get(path)).status_code == 200
        assert (await anybody.get("/log/tile/entries/000")).status_code == 401


async def test_tiles_hold_the_leaves_and_the_roots_above_them(audited: Service):
    expected = await leaves(audited)

    full = await get(audited, "/log/tile/0/000")
    assert full.headers["content-type"] == "application/octet-stream"
    assert full.headers["cache-control"] == "public, max-age=604800, immutable"
    assert hashes_of(full.content) == expected[:256]
    assert hashes_of((await get(audited, "/log/tile/0/001.p/44")).content) == expected[256:]
    assert hashes_of((await get(audited, "/log/tile/0/001.p/1")).content) == expected[256:257]
    assert hashes_of((await get(audited, "/log/tile/0/000.p/255")).content) == expected[:255]
    assert (await get(audited, "/log/tile/1/000.p/1")).content == root_of(expected[:256])


async def test_bundles_hold_the_bytes_that_the_leaves_are_hashes_of(audited: Service):
    expected = await leaves(audited)

    first = await get(audited, "/log/tile/entries/000")
    assert first.headers["cache-control"].startswith("private")
    last = await get(audited, "/log/tile/entries/001.p/44")
    entries = [*decode_bundle(first.content, 256), *decode_bundle(last.content, 44)]
    assert [leaf_hash(entry) for entry in entries] == expected
    assert (await get(audited, "/v1/log/entries/299")).content == entries[299]


@pytest.mark.parametrize(
    "place",
    [
        "0/002.p/1", "0/001", "0/001.p/45",
        "1/000", "1/000.p/2", "2/000.p/1", "0/000.p/0", "0/000.p/256", "0/0", "64/000",
        "a/000", "0/x000/000", "-1/000", "0/999", "0/x999/x999/x999/999", "63/000.p/1",
    ],
)  # fmt: skip
async def test_a_tile_that_is_not_there_or_not_yet_is_not_found(audited: Service, place: str):
    for kind in [place] if place[0] != "0" else [place, f"entries/{place[2:]}"]:
        answer = await audited.client.get(f"/log/tile/{kind}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), kind


@pytest.mark.parametrize(
    ("place", "parameters"),
    [
        ("64/000", ["?level"]),
        ("a/000", ["?level"]),
        ("0/0", ["?place"]),
        ("0/001.p/45", ["?place"]),
        ("a/0", ["?level", "?place"]),
        ("entries/0", ["?place"]),
    ],
)
async def test_every_part_of_a_tiles_address_that_is_wrong_is_named(
    audited: Service, place: str, parameters: list[str]
):
    refused(await audited.client.get(f"/log/tile/{place}"), 404, "not-found", *parameters)


@pytest.mark.parametrize("position", [0, 1, 255, 256, 299])
async def test_an_entry_is_proved_at_the_published_checkpoint_and_at_any_size(audited: Service, position: int):
    expected = await leaves(audited)
    sizes = [None, position + 1, 257, 299, 300]
    for size in (one for one in sizes if one is None or one > position):
        query = "" if size is None else f"?size={size}"
        proof = (await get(audited, f"/v1/log/entries/{position}/proof{query}")).json()

        assert proof["size"] == size or (size is None and proof["size"] == ENTRIES)
        assert hash_of(proof["root"]) == root_of(expected[: proof["size"]])
        verify_inclusion(
            leaf=hash_of(proof["leaf"]),
            index=proof["position"],
            size=proof["size"],
            root=hash_of(proof["root"]),
            path=[hash_of(one) for one in proof["path"]],
        )
        assert hash_of(proof["leaf"]) == expected[position]
        if size is None:
            assert Checkpoint.verified(proof["checkpoint"].encode(), await keys(audited)).size == ENTRIES


async def test_a_proof_file_proves_its_entry_with_nothing_but_the_key(audited: Service):
    answer = await get(audited, "/v1/log/entries/7/proof", Accept="text/plain")

    assert 'filename="7.tlog-proof"' in answer.headers["content-disposition"]
    entry = (await get(audited, "/v1/log/entries/7")).content
    proof = ProofFile.parse(answer.content)
    assert proof.index == 7
    assert proof.verify(leaf_hash(entry), await keys(audited), origin=ORIGIN).size == ENTRIES


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (1, 1), (1, 300), (256, 300), (299, 300), (300, 300)])
async def test_the_log_is_proved_to_extend_what_it_was(audited: Service, first: int, second: int):
    proof = (await get(audited, f"/v1/log/consistency?from={first}&to={second}")).json()

    assert (proof["from"], proof["to"]) == (first, second)
    if first == 0:
        assert (hash_of(proof["from_root"]), proof["path"]) == (EMPTY_ROOT, [])
        return
    verify_consistency(
        first_size=first,
        first_root=hash_of(proof["from_root"]),
        second_size=second,
        second_root=hash_of(proof["to_root"]),
        path=[hash_of(one) for one in proof["path"]],
    )
    assert hash_of(proof["to_root"]) == root_of((await leaves(audited))[:second])


async def test_consistency_leads_to_the_published_checkpoint_unless_told_otherwise(audited: Service):
    assert (await get(audited, "/v1/log/consistency?from=17")).json()["to"] == ENTRIES


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("", ["?from"]),
        ("?from=a&to=b", ["?from", "?to"]),
        ("?from=-1", ["?from"]),
        ("?from=5&to=4", ["?to"]),
        ("?from=301", ["?from"]),
        ("?from=1&to=301", ["?to"]),
        ("?from=301&to=302", ["?from", "?to"]),
        ("?from=1&from=2", ["?from"]),
        ("?from=1&size=2", ["?size"]),
        ("?from=99999999999999999999", ["?from"]),
    ],
)
async def test_a_consistency_proof_that_cannot_be_names_every_parameter(
    audited: Service, query: str, parameters: list[str]
):
    problem = refused(await audited.client.get(f"/v1/log/consistency{query}"), 422, "invalid-field", *parameters)
    assert problem["detail"] == "The query is not valid; see errors."


@pytest.mark.parametrize("size", ["7", "301", "0", "a", "-1", "1.5"])
async def test_a_proof_at_a_size_without_the_entry_or_beyond_the_log_is_refused(audited: Service, size: str):
    problem = refused(await audited.client.get(f"/v1/log/entries/7/proof?size={size}"), 422, "invalid-field", "?size")
    assert problem["detail"] == "The query is not valid; see errors."


@pytest.mark.parametrize("position", ["300", "-1", "a", "01", "1e3", "99999999999999999999"])
async def test_an_entry_that_is_not_there_is_not_proved(audited: Service, position: str):
    refused(await audited.client.get(f"/v1/log/entries/{position}/proof"), 404, "not-found", "?position")


async def test_a_proof_file_of_a_size_without_a_checkpoint_is_refused(audited: Service):
    answer = await audited.client.get("/v1/log/entries/7/proof?size=9", headers={"Accept": "text/plain"})
    refused(answer, 422, "invalid-field", "?size")


async def test_an_answer_that_the_client_has_is_not_sent_again(audited: Service):
    tag = (await get(audited, "/v1/log/consistency?from=1&to=300")).headers["etag"]
    answer = await audited.client.get("/v1/log/consistency?from=1&to=300", headers={"If-None-Match": tag})
    assert answer.status_code == 304


@pytest.mark.parametrize("path", ["checkpoint", "keys", "origins", "tile/0/000", "tile/entries/000"])
async def test_what_the_client_has_of_the_log_is_not_sent_again(audited: Service, path: str):
    given = await get(audited, f"/log/{path}")
    again = await audited.client.get(f"/log/{path}", headers={"If-None-Match": given.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == given.headers["cache-control"]


async def test_a_tile_is_kept_for_good_once_all_that_is_under_it_was_signed(cluster: Cluster, tmp_path: Path):
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path, project=False, sign=False) as service:

            async def caching(place: str) -> str:
                return (await get(service, f"/log/tile/0/{place}")).headers["cache-control"]

            await service.post("/v1/parties", {"name": "One", "kind": "company", "country": "NO"})
            assert await caching("000.p/1") == "public, no-cache"
            await sign(service)
            await service.post("/v1/parties", {"name": "Another", "kind": "company", "country": "NO"})
            assert await caching("000.p/1") == "public, max-age=604800, immutable"
            assert await caching("000.p/2") == "public, no-cache"


async def test_without_a_signing_key_there_is_no_checkpoint_and_proofs_at_a_size_all_the_same(
    cluster: Cluster, tmp_path: Path
):
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path, key_dir=None) as service:
            await service.post("/v1/parties", {"name": "Yard", "kind": "company", "country": "NO"})
            for path in ("/log/checkpoint", "/v1/log/entries/0/proof", "/v1/log/consistency?from=0"):
                answer = await service.client.get(path)
                refused(answer, 503, "not-signed")
                assert answer.headers["retry-after"] == "1"
            proof = json.loads((await get(service, "/v1/log/entries/0/proof?size=1")).content)
            assert proof["path"] == []
            assert proof["root"] == proof["leaf"]
            assert len(base64.b64decode(proof["root"])) == 32
            assert proof["checkpoint"] is None
        await check_log(database.admin_dsn)
