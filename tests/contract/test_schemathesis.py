"""The OpenAPI document fuzzed: whatever it allows and forbids is sent to the service as it is deployed.

Coverage (every boundary that a schema states, one by one) and random requests, of all routes. The batch takes any
command: every boundary of each is crossed there, too; that what lies within is taken is tried where that one is posted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import asyncpg
import httpx
import pytest

from projections import LISTED
from services.registry.access import tokens
from services.registry.clock import now
from tests.support.check_log import check_log
from tests.support.cluster import EMBEDDED
from tests.support.history import steps
from tests.support.processes import deployed
from tests.support.service import ALL_ROLES, OPERATOR
from tests.support.world import TEXT, Names, party

pytestmark = pytest.mark.long

EXAMPLES = 2  # of random requests to a route
AT_LEAST = 12_000  # requests; fewer, and something was not tried
SEED = 1  # what is found is found again; another seed is for whoever looks for more

BATCH = "/v1/batch"

CHECKS_LEFT_OUT = [
    # What is well-formed may be refused all the same, and has to be: a reference to nothing, a size that the log has
    # not reached, another revision than the stream's (412), a country or a date that is none. That real requests are
    # taken, and are as documented, is tried in test_openapi.py.
    "positive_data_acceptance",
]
PHASES = ["examples", "coverage", "fuzzing"]
"""Not the stateful one: it follows links from what was recorded, and random bodies are hardly ever recorded."""

ITEMS = {
    "parties": ["ministry", "company"],
    "people": ["ada", "bob"],
    "occasions": ["show"],
    "sources": ["report"],
    "cooperations": ["first", "second"],
    "meetings": ["met"],
    "negotiations": ["terms"],
    "roadmaps": ["roadmap"],
    "visits": ["july"],
    "rounds": ["round"],
    "agreements": ["contract"],
    "commitments": ["round_in_may"],
}
"""What is asked for one by one, besides what there is not."""


async def test_nothing_that_the_document_allows_or_forbids_gets_an_answer_that_it_does_not_state(tmp_path: Path):
    async with deployed(tmp_path, EMBEDDED) as deployment:
        with deployment.start("serve", REGISTRY_CHECKPOINT_SECONDS="1"), deployment.start("project"):
            await deployment.ready()
            token = await make_token(deployment.access.service)
            configuration = tmp_path / "schemathesis.toml"
            configuration.write_text(configured(await record(deployment.base_url, token)), encoding="utf-8")
            await deployment.signed()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "schemathesis.cli", "--no-color", f"--config-file={configuration}"),
                *("run", f"{deployment.base_url}/openapi.json", f"--header=Authorization: Bearer {token}"),
                *("--checks=all", f"--exclude-checks={','.join(CHECKS_LEFT_OUT)}", f"--phases={','.join(PHASES)}"),
                *(f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--no-shrink", "--continue-on-failure"),
                *("--warnings=off", "--generation-database=none"),
                cwd=tmp_path,
                env={**os.environ, "NO_PROXY": "*"},  # or the environment is searched for proxies at each request
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
        report = said.decode()
        assert process.returncode == 0, report
        tried = re.search(r"(\d+) generated, \1 passed", report)
        assert tried, report
        assert int(tried[1]) > AT_LEAST
        lines = (tmp_path / "registry.log").read_text(encoding="utf-8").splitlines()
        failed = [line for line in lines if '"failed"' in line]
        assert not failed, failed[0]
        await check_log(deployment.access.service)


async def make_token(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return (await tokens.create(connection, name="fuzzer", roles=ALL_ROLES, by=OPERATOR, now=now()))[0]
    finally:
        await connection.close()


async def record(base_url: str, token: str) -> dict[str, str]:
    """Record the history (but its end, which would shut a cooperation) and more, and return its ids by name."""
    names = Names()
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    async with httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {token}"}) as client:
        plain = {"Content-Type": "text/plain"}
        (await client.put(f"/v1/documents/{sha256}", content=TEXT, headers=plain)).raise_for_status()
        for name, path, body in steps(sha256)[:-1]:
            answer = (await client.post(names.fill(path), json=names.fill(body))).raise_for_status()
            names.ids[name] = answer.json()["id"]
        more = [{"command": "register-party", "data": party(f"Party {number}")} for number in range(60)]
        (await client.post("/v1/batch", json={"commands": more})).raise_for_status()
    return names.ids


def configured(ids: dict[str, str]) -> str:
    """What schemathesis is told: things that there are, sizes that the log has, and how to cover the batch."""
    dictionaries = {kind: [ids[name] for name in names] for kind, names in ITEMS.items()}
    dictionaries |= {"sizes": ["0", "1", "57"], "moments": ["0", "57", "2019-06-20T12:00:00Z"]}
    lines = ["[dictionaries]"]
    lines += [f"{name} = {{values = {json.dumps(values)}}}" for name, values in dictionaries.items()]
    lines += ["[parameters]", bound("header.Registry-Min-Size", "sizes"), bound("query.as_of", "moments")]
    for kind in ITEMS:
        lines += ["[[operations]]", f'include-path-regex = "^/v1/{kind}/.id."']
        lines += ["[operations.parameters]", bound("path.id", kind, probability=0.8)]
    lines += ["[[operations]]", f'include-path = "{BATCH}"', 'phases.coverage.generation.mode = "negative"']
    return "\n".join(lines)


def bound(parameter: str, dictionary: str, probability: float = 1.0) -> str:
    return f'"{parameter}" = {{dictionary = "{dictionary}", probability = {probability}}}'


def test_every_kind_of_thing_is_asked_for():
    assert {model.name for model in LISTED} == ITEMS.keys()
