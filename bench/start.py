"""How long `registry serve` takes to be ready, and `registry up` on data that exist.

Both are from the start of the process until `/health/ready` answers that it can serve. `serve` is over a log of a size
that was projected before. `up` is over a folder that holds the sample story alone, as it does when it was tried once:
it starts PostgreSQL, looks for what is missing and finds nothing, and starts a projector and the API.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench import processes
from bench.filling import fill
from bench.measure import Figure, Result
from services.registry.provision import Access

TARGETS = {"serve_1500_ms": 1.0, "up_3000_ms": 1.0}


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure in turn, each several times; the first start of each is not counted."""
    size, rounds = (2_000, 2) if quick else (100_000, 7)
    await fill(access, size)
    found: dict[str, list[float]] = {"serve": [], "up": []}
    with tempfile.TemporaryDirectory(prefix="bench-up-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # noqa: ASYNC240 - the server's own account has to pass
        async with processes.registry(access) as made:
            with made.start("project"):
                await made.projected(size)
            for number in range(rounds + 1):
                begun = time.perf_counter()
                async with processes.serving(made, "/health/ready"):
                    spent = (time.perf_counter() - begun) * 1000
                    if number:
                        found["serve"].append(spent)
                spent = await _up(folder / "data")
                if number:
                    found["up"].append(spent)
    figures = {name: Figure.of("ms", times) for name, times in found.items()}
    ratios = {"serve_1500_ms": 1_500 / figures["serve"].median, "up_3000_ms": 3_000 / figures["up"].median}
    return Result(figures, ratios, TARGETS)


async def _up(data: Path) -> float:
    """Start everything on a folder of its own, which holds the story; in how many milliseconds it was ready."""
    port = processes.free_port()
    command = (*processes.REGISTRY, "up", "--data", str(data), "--port", str(port), "--sample")
    begun = time.perf_counter()
    with processes.Process(*command, environ=processes.QUIET, says=processes.NOWHERE) as process:
        ready = await processes.answering(process, port, "/health/ready")
    return (ready - begun) * 1000
