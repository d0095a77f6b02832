"""What a refusal would leave behind is seen by the tests of refusals, whatever row of whatever table it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.refusals import nothing_left_behind
from tests.support.service import execute, running
from tests.support.world import party


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access.token SET revoked_at = clock_timestamp() WHERE name = 'a client of nothing'",
        "INSERT INTO access.record (who, what, detail) VALUES ('x', 'create-token', '{}')",
        "INSERT INTO vault.key (owner, wrapped, master_key_id) VALUES ('person/x', '', '')",
        "INSERT INTO vault.token (owner, token) SELECT owner, 'x' FROM vault.key LIMIT 1",
        "INSERT INTO vault.command_salt (command_id, owner, salt) VALUES (gen_random_uuid(), 'x', '')",
        "UPDATE log.document SET media_type = 'image/png'",
        "UPDATE log.claim SET position = position + 1",
    ],
)
async def test_whatever_a_refusal_would_leave_behind_is_seen(cluster: Cluster, tmp_path: Path, statement: str):
    with cluster.database() as database:
        async with running(database, tmp_path, project=False) as service:
            await service.token("reader", name="a client of nothing")
            await service.post("/v1/people", {"name": "Ada Example"})
            await service.post("/v1/parties", party("x", identifiers=[{"scheme": "XI-LEI", "value": "1"}]))
            await service.file("A text.")
            with pytest.raises(AssertionError):
                async with nothing_left_behind(service):
                    await execute(database.admin_dsn, statement)
