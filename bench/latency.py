"""How long a command of one event takes with 32 tasks, over a log of 10,000 entries and over one of a million.

One figure is of all commands of a round; the same process and the same log are measured at both sizes. It is to be the
same at both, so that the large log being the quicker one by more than a fifth is no better than being the slower one.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bench.append import TASKS, Ours
from bench.filling import fill
from bench.history import History
from bench.measure import Figure, Result
from events.log import Log
from services.registry.provision import Access

SAME = 0.834  # what two figures are alike by that are the same to within a fifth: each at most 1.2 of the other
TARGETS = {"five_p50": 1.0, "p50_when_small": SAME, "p99_when_small": SAME}


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure in rounds at each size; the first round of each is not counted."""
    sizes, rounds, entries = ((1_000, 10_000), 3, 3_200) if quick else ((10_000, 1_000_000), 9, 16_000)
    figures: dict[str, Figure] = {}
    for size in sizes:
        await fill(access, size, History(size))
        async with await Log.open(access.service, origin="registry.example/log", clock=_now) as log:
            ours = Ours(log)
            for _ in range(rounds + 1):
                await ours.run(TASKS, entries)
        figures[f"p50_{size}"] = Figure.of("ms", [run.p50 for run in ours.runs[1:]])
        figures[f"p99_{size}"] = Figure.of("ms", [run.p99 for run in ours.runs[1:]])
    small, large = sizes
    ratios = {
        "five_p50": 5 * figures[f"p50_{large}"].median / figures[f"p99_{large}"].median,
        "p50_when_small": alike(figures[f"p50_{small}"].median, figures[f"p50_{large}"].median),
        "p99_when_small": alike(figures[f"p99_{small}"].median, figures[f"p99_{large}"].median),
    }
    return Result(figures, ratios, TARGETS)


def alike(one: float, other: float) -> float:
    """Return the lesser over the greater: 1 is the same, and it is below `SAME` whichever is a fifth more."""
    return min(one, other) / max(one, other)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
