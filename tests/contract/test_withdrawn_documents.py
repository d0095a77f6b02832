"""A document that came with a source which was withdrawn before it was on file: it is not put there any more."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from events.vault import Vault
from tests.support.service import Service

TEXT = "Named in court."
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()
METADATA = {"title": "Report", "publisher": "Press", "published": "2019-06-19", "language": "en"}
SOURCE = {**METADATA, "sha256": SHA256, "size": len(TEXT), "media_type": "text/plain"}
WHY = {"authority": "Court", "reason": "by order"}


async def send(service: Service) -> Any:
    """File the source together with its document."""
    return await service.client.post(
        "/v1/sources",
        headers={"Idempotency-Key": "once"},
        files={
            "metadata": (None, json.dumps(METADATA), "application/json"),
            "document": ("report", TEXT.encode(), "text/plain"),
        },
    )


async def withdraw_all(service: Service) -> None:
    for source in (await service.get("/v1/sources"))["items"]:
        await service.post(f"/v1/sources/{source['id']}/withdraw", WHY)


async def send_withdraw(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """File the source, be killed ahead of its document, and withdraw it."""

    async def dies(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "file", dies)
        assert (await send(service)).status_code == 503
    await withdraw_all(service)


async def is_on_file(service: Service) -> bool:
    return (await service.client.get(f"/v1/documents/{SHA256}")).status_code == 200


async def test_a_repetition_of_what_filed_the_source_does_not_bring_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    await send_withdraw(service, monkeypatch)

    again = await send(service)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert not await is_on_file(service)


async def test_it_is_not_put_on_file_though_the_source_is_withdrawn_while_that_is_done(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    file, begun, goes_on = Vault.file, asyncio.Event(), asyncio.Event()

    async def slow(*what: Any, **how: Any) -> Any:
        begun.set()
        await goes_on.wait()
        return await file(*what, **how)

    monkeypatch.setattr(Vault, "file", slow)
    sent = asyncio.create_task(send(service))
    await begun.wait()
    await withdraw_all(service)
    goes_on.set()

    assert (await sent).status_code == 201
    assert not await is_on_file(service)


async def test_it_is_put_on_file_where_another_source_is_over_it_or_somebody_files_it_afterwards(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    await send_withdraw(service, monkeypatch)
    await service.post("/v1/sources", SOURCE)
    assert (await send(service)).status_code == 200
    assert await is_on_file(service)

    later = "Filed by itself."
    sha256 = hashlib.sha256(later.encode()).hexdigest()
    alone = await service.post("/v1/sources", {**SOURCE, "sha256": sha256, "size": len(later)})
    await service.post(f"/v1/sources/{alone['id']}/withdraw", WHY)
    assert await service.file(later) == sha256
