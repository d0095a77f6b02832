"""How much memory the processes take, at sizes of the log: the API after requests of each kind, and long work.

What a process took at the most is what the kernel says (`VmHWM`), added up over those that share a work: both sizes are
large enough to be shared, or both too small. Long work is bounded where it takes no more at the
large size than it did at the small one, but for what its buffers vary by.
"""

from __future__ import annotations

import asyncio
import tempfile
from itertools import cycle
from pathlib import Path

from bench import processes
from bench.filling import fill
from bench.history import History
from bench.load import Client, request
from bench.measure import Figure, Result
from services.registry.provision import Access

BOUND = 200.0  # MB, of the API
TARGETS = {
    "api_200_mb": 1.0,
    "rebuild_itself_when_small": 0.67,
    "verify_itself_when_small": 0.67,
    "export_itself_when_small": 0.67,
    "replay_itself_when_small": 0.67,
}
SECONDS = 0.05  # between looks: the kernel keeps the greatest of a process, and forgets it at its end


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure at two sizes, the second far larger."""
    sizes, requests = ((2_000, 8_000), 320) if quick else ((100_000, 1_000_000), 3_200)
    taken: dict[str, list[float]] = {}
    async with processes.registry(access) as made:
        token = await made.token()
        for size in sizes:
            await fill(access, size, History(size))  # other things than those that are there
            with tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
                taken.setdefault("rebuild", []).append(await _most(made.start("rebuild", "--processes", "2")))
                with made.start("project") as projector:
                    await made.projected(size)
                    async with processes.serving(made) as serving, Client(made.port, 16) as client:
                        taken.setdefault("api", []).append(await _api(client, serving.pid, token, requests))
                        export = Path(folder) / "log"
                        taken.setdefault("export", []).append(await _most(made.start("log", "export", str(export))))
                        taken.setdefault("verify", []).append(await _most(made.start("verify", str(export))))
                    taken.setdefault("project", []).append(await _of(projector.pid))
                taken.setdefault("replay", []).append(await _most(made.start("replay")))
    figures = {
        f"{name}_{size}": Figure.of("MB", [most])
        for name, all_sizes in taken.items()
        for size, most in zip(sizes, all_sizes, strict=True)
    }
    ratios = {
        f"{name}_itself_when_small": taken[name][0] / taken[name][1]
        for name in ("rebuild", "verify", "export", "replay")
    }
    # A rebuild keeps the states of what 40,000 entries say: a quick log is smaller, and so grows into that.
    targets = {name: target for name, target in TARGETS.items() if not (quick and name.startswith("rebuild"))}
    return Result(figures, {"api_200_mb": BOUND / max(taken["api"])} | ratios, targets)


async def _api(client: Client, pid: int, token: str, requests: int) -> float:
    """Ask for lists, searches, things as of sizes, a replay; how many MB the API took at most."""
    authorized = {"Authorization": f"Bearer {token}"}
    paths = (
        "/v1/meetings?limit=200",
        "/v1/parties?limit=200&as_of=1000",
        "/v1/search?q=engineering",
        "/v1/log/entries?limit=200",
    )
    asked = [request("GET", path, authorized) for path in paths]
    await client.run(requests, lambda: cycle(asked), 200)
    await client.stream("/v1/log/entries", {**authorized, "Accept": "application/x-ndjson"})
    return await _of(pid)


async def _most(process: processes.Process) -> float:
    """Wait for a command's good end; how many MB it and what it started took together at the most."""
    most = 0.0
    with process:
        ending = asyncio.create_task(process.succeed())
        try:
            while not ending.done():
                most = max(most, await _of(process.pid))
                await asyncio.wait([ending], timeout=SECONDS)
            await ending
        finally:
            ending.cancel()
    return most


async def _of(pid: int) -> float:
    """Return how many MB a process and those that it started have taken at the most, added up."""
    return await asyncio.to_thread(lambda: sum(map(_high_water, _family(pid))) / 1024)


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:  # it has ended
        return []
    return [pid, *(one for child in text.split() for one in _family(int(child)))]


def _high_water(pid: int) -> int:
    try:
        return high_water(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:  # it has ended
        return 0


def high_water(status: str) -> int:
    """Return the most that a process took, in KiB, of what the kernel says of it; 0 of one that is ending."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
