"""How long a command of one event takes with 32 tasks, over a log of 10,000 entries and over one of a million.

One figure is of all commands of a round; the same process and the same log are measured at both sizes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bench.append import TASKS, Ours
from bench.filling import fill
from bench.history import History
from bench.measure import Figure, Result
from events.log import Log
from services.registry.provision import Access

TARGETS = {"five_p50": 1.0, "p50_when_small": 0.8, "p99_when_small": 0.8}


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure in rounds at each size; the first round of each is not counted."""
    sizes, rounds, entries = ((1_000, 10_000), 3, 3_200) if quick else ((10_000, 1_000_000), 9, 16_000)
    figures: dict[str, Figure] = {}
    for size in sizes:
        await fill(access, size, History(size))
        parts: dict[str, list[float]] = {"p50": [], "p99": []}
        async with await Log.open(access.service, origin="registry.example/log", clock=_now) as log:
            for number in range(rounds + 1):
                ours = Ours(log)
                await ours.run(TASKS, entries)
                told = sorted(ours.latencies)
                if number:
                    parts["p50"].append(told[len(told) // 2] * 1000)
                    parts["p99"].append(told[int(0.99 * len(told))] * 1000)
        figures |= {f"{name}_{size}": Figure.of("ms", times) for name, times in parts.items()}
    small, large = sizes
    ratios = {
        "five_p50": 5 * figures[f"p50_{large}"].median / figures[f"p99_{large}"].median,
        "p50_when_small": figures[f"p50_{small}"].median / figures[f"p50_{large}"].median,
        "p99_when_small": figures[f"p99_{small}"].median / figures[f"p99_{large}"].median,
    }
    return Result(figures, ratios, TARGETS)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
