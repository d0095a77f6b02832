"""The API beside a bare Litestar application under the same server: an item, a page of 50, a 304, a command.

The bare one answers with the same bytes from one query, and records a command with one INSERT of the same struct. It
knows no tokens and no roles, and keeps no record: what those cost is part of what is measured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle

import asyncpg
import msgspec

from bench import processes
from bench.filling import fill
from bench.load import Answer, Client, Told, request
from bench.measure import Figure, Result, interleave, paired
from events import sql
from services.registry.provision import Access

CONNECTIONS = 32
TARGETS = {"bare_item": 0.6, "bare_page": 0.6, "bare_304": 0.6, "bare_command": 1.0}
_SERVED = sql.load("bench", "bare.sql")
_TABLE = sql.load("bench", "append.sql")


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure over a log with the story and a history behind it."""
    size, rounds, few, many = (1_500, 3, 320, 960) if quick else (10_000, 7, 1_600, 4_800)
    owner = await asyncpg.connect(access.owner)
    await owner.execute(_TABLE["create_table"])
    await owner.execute(_SERVED["create_table"])
    await owner.close()
    async with processes.registry(access) as ours:
        await ours.run("sample")
        await fill(access, size)
        with ours.start("project") as _projector:
            await ours.projected(size)
            async with processes.serving(ours), processes.bare(access.service) as port:
                contest = Contest(await ours.token(), few, many)
                async with Client(ours.port, CONNECTIONS) as registry, Client(port, CONNECTIONS) as bare:
                    await contest.prepare(registry, access.service)
                    return await contest.hold(registry, bare, rounds)


class Contest:
    """What is asked of both."""

    def __init__(self, token: str, few: int, many: int) -> None:
        self._authorized = {"Authorization": f"Bearer {token}"}
        self._few = few
        self._many = many
        self._paths: dict[str, str] = {}
        self._etag = ""
        self._opened = b""

    async def prepare(self, registry: Client, dsn: str) -> None:
        """Find something to ask for, and let the bare application have the same bytes."""
        page = "/v1/meetings?limit=50"
        listed = msgspec.json.decode((await self._get(registry, page)).body)
        item = f"/v1/meetings/{listed['items'][0]['id']}"
        self._paths = {"item": item, "page": page}
        parties = msgspec.json.decode((await self._get(registry, "/v1/parties?limit=2")).body)["items"]
        self._opened = msgspec.json.encode(
            {"title": "Joint production", "parties": [one["id"] for one in parties], "fields": ["aerospace"]}
        )
        connection = await asyncpg.connect(dsn)
        for name, path in self._paths.items():
            answer = await self._get(registry, path)
            await connection.execute(_SERVED["keep"], name, answer.body)
            if name == "item":
                self._etag = answer.headers["etag"]
        await connection.close()

    async def _get(self, registry: Client, path: str) -> Answer:
        answer = await registry.once("GET", path, self._authorized)
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status} {answer.body[:500]!r}")
        return answer

    async def hold(self, registry: Client, bare: Client, rounds: int) -> Result:
        """Measure each kind of request in turn, both beside each other."""
        figures: dict[str, Figure] = {}
        ratios: dict[str, float] = {}
        unchanged = {**self._authorized, "If-None-Match": self._etag}
        kinds: dict[str, tuple[int, bytes, int, bytes]] = {
            kind: (
                self._few,
                request("GET", self._paths[kind], self._authorized),
                200,
                request("GET", f"/served/{kind}"),
            )
            for kind in ("item", "page")
        }
        kinds["304"] = (
            self._few,
            request("GET", self._paths["item"], unchanged),
            304,
            request("GET", "/unchanged"),
        )
        kinds["command"] = (
            self._many,
            request("POST", "/v1/cooperations", self._authorized, self._opened),
            201,
            request("POST", "/recorded", body=self._opened),
        )
        for kind, (number, asked, status, beside) in kinds.items():
            times = Times()
            found = await interleave(
                {
                    kind: times.running(registry, number, asked, status),
                    f"bare_{kind}": _running(bare, number, beside, status),
                },
                rounds,
            )
            figures |= {name: Figure.of("requests/s", rates) for name, rates in found.items()}
            figures |= times.figures(kind)
            ratios[f"bare_{kind}"] = paired(found[kind], found[f"bare_{kind}"])
        return Result(figures, ratios, TARGETS)


class Times:
    """How long answers took."""

    def __init__(self) -> None:
        self._told: list[Told] = []

    def running(self, client: Client, number: int, asked: bytes, status: int) -> Callable[[], Awaitable[float]]:
        """Return what makes requests, and remember."""

        async def run() -> float:
            told = await client.run(number, lambda: cycle([asked]), status)
            self._told.append(told)
            return told.rate

        return run

    def figures(self, kind: str) -> dict[str, Figure]:
        """Return the median and the 99th percentile of all rounds but the first, which nobody measures."""
        rounds = [sorted(told.latencies) for told in self._told[1:]]
        return {
            f"{kind}_{name}": Figure.of("ms", [one[int(part * len(one))] * 1000 for one in rounds])
            for name, part in (("p50", 0.5), ("p99", 0.99))
        }


def _running(client: Client, number: int, asked: bytes, status: int) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        return (await client.run(number, lambda: _same(asked), status)).rate

    return run


def _same(asked: bytes) -> Iterator[bytes]:
    return cycle([asked])
