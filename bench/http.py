"""The API beside a bare Litestar application under the same server: an item, a page of 50, a 304, a command.

Of items and pages there are 50, asked for in turn, so that ours are made once and then kept while the log stands still.
`item_anew` are others, of which each is asked for once.

The bare one answers with the same bytes from one query, and records a command with one INSERT of the same struct. It
knows no tokens and no roles, and keeps no record: what those cost is part of what is measured.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import cycle, islice

import asyncpg
import msgspec

from bench import processes
from bench.filling import fill
from bench.load import Answer, Client, Told, request
from bench.measure import Failed, Figure, Result, interleave, paired
from events import sql
from services.registry.provision import Access

CONNECTIONS = 32
DIFFERENT = 50
LISTS = ("meetings", "visits", "rounds", "roadmaps", "negotiations", "agreements", "cooperations")
TARGETS = {"bare_item": 0.6, "bare_page": 0.6, "bare_304": 0.6, "bare_command": 1.0}
_SERVED = sql.load("bench", "bare.sql")
_TABLE = sql.load("bench", "append.sql")


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure over a log with the story and a history behind it."""
    size, rounds, few, many = (1_500, 5, 640, 960) if quick else (10_000, 7, 1_600, 4_800)
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
    """What is asked of both: different things in turn, as who asks for one thing again and again is nobody."""

    def __init__(self, token: str, few: int, many: int) -> None:
        self._authorized = {"Authorization": f"Bearer {token}"}
        self._few = few
        self._many = many
        self._paths: dict[str, list[str]] = {}
        self._tags: list[str] = []
        self._opened = b""

    async def prepare(self, registry: Client, dsn: str) -> None:
        """Find things to ask for, and let the bare application have the same bytes."""
        things = [path for name in LISTS async for path in self._things(registry, name)]
        pages = [f"/v1/meetings?limit=50&held_from={1900 + number}-01-01" for number in range(DIFFERENT)]
        self._paths = {"item": things[:DIFFERENT], "page": pages, "item_anew": things[DIFFERENT:]}
        parties = msgspec.json.decode((await self._get(registry, "/v1/parties?limit=2")).body)["items"]
        self._opened = msgspec.json.encode(
            {"title": "Joint production", "parties": [one["id"] for one in parties], "fields": ["aerospace"]}
        )
        connection = await asyncpg.connect(dsn)
        for kind in ("item", "page"):
            for number, path in enumerate(self._paths[kind]):
                answer = await self._get(registry, path)
                await connection.execute(_SERVED["keep"], f"{kind}{number}", answer.body)
                if kind == "item":
                    self._tags.append(answer.headers["etag"])
        await connection.close()

    async def _things(self, registry: Client, name: str) -> AsyncIterator[str]:
        """Yield the addresses of all that is in a list."""
        following = ""
        while following is not None:
            more = f"&cursor={following}" if following else ""
            page = msgspec.json.decode((await self._get(registry, f"/v1/{name}?limit=500{more}")).body)
            for one in page["items"]:
                yield f"/v1/{name}/{one['id']}"
            following = page["next"]

    async def _get(self, registry: Client, path: str) -> Answer:
        answer = await registry.once("GET", path, self._authorized)
        if answer.status != 200:
            raise Failed(f"GET {path}: {answer.status} {answer.body[:500]!r}")
        return answer

    async def hold(self, registry: Client, bare: Client, rounds: int) -> Result:
        """Measure each kind of request in turn, both beside each other."""
        figures: dict[str, Figure] = {}
        ratios: dict[str, float] = {}
        for kind, (number, asked, status, beside) in self._kinds(rounds).items():
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

    def _kinds(self, rounds: int) -> dict[str, tuple[int, InTurn, int, InTurn]]:
        """Return how many requests of each kind there are in a round, of ours and of the bare one's."""
        kinds: dict[str, tuple[int, InTurn, int, InTurn]] = {
            kind: (
                self._few,
                InTurn([request("GET", path, self._authorized) for path in self._paths[kind]]),
                200,
                InTurn([request("GET", f"/served/{kind}{number}") for number in range(DIFFERENT)]),
            )
            for kind in ("item", "page")
        }
        anew = self._paths["item_anew"]
        kinds["item_anew"] = (
            len(anew) // (rounds + 1) // CONNECTIONS * CONNECTIONS,
            InTurn([request("GET", path, self._authorized) for path in anew], once=True),
            200,
            kinds["item"][3],
        )
        held = [
            request("GET", path, {**self._authorized, "If-None-Match": tag})
            for path, tag in zip(self._paths["item"], self._tags, strict=True)
        ]
        kinds["304"] = (self._few, InTurn(held), 304, InTurn([request("GET", "/unchanged")]))
        kinds["command"] = (
            self._many,
            InTurn([request("POST", "/v1/cooperations", self._authorized, self._opened)]),
            201,
            InTurn([request("POST", "/recorded", body=self._opened)]),
        )
        return kinds


class InTurn:
    """Requests that connections make in turn, each from another on; where each is made `once`, they share them."""

    def __init__(self, asked: Sequence[bytes], *, once: bool = False) -> None:
        self._asked = asked
        self._shared = iter(asked) if once else None
        self._begun = 0

    def __call__(self) -> Iterator[bytes]:
        """Return what one connection asks for."""
        if self._shared is not None:
            return self._shared
        self._begun += 1
        return islice(cycle(self._asked), self._begun % len(self._asked), None)


class Times:
    """How long answers took."""

    def __init__(self) -> None:
        self._told: list[Told] = []

    def running(self, client: Client, number: int, asked: InTurn, status: int) -> Callable[[], Awaitable[float]]:
        """Return what makes requests, and remember."""

        async def run() -> float:
            told = await client.run(number, asked, status)
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


def _running(client: Client, number: int, asked: InTurn, status: int) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        return (await client.run(number, asked, status)).rate

    return run
