"""`python -m bench [WORK…] [--quick] [--json]`: progress goes to standard error, the result to standard output.

Exits with 1 if a target is missed, or with --quick, as machines are noisy, if none of three tries of a work reaches
half of all its targets; and if a work fails, of which only why is told. It starts a PostgreSQL of its own, or takes
that of BENCH_DATABASE_URL, an administrator's connection to a server without a registry: it makes the registry's roles
there, and drops them at its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from bench import (
    append,
    asof,
    bulk,
    http,
    lag,
    latency,
    memory,
    proofs,
    read,
    rebuild,
    replay,
    report,
    start,
    stream,
    verify,
)
from bench.chart import chart
from bench.database import database, server
from bench.measure import Failed, Result, table

WORKS: dict[str, Callable[..., Awaitable[Result]]] = {
    "append": append.measure,
    "bulk": bulk.measure,
    "latency": latency.measure,
    "read": read.measure,
    "replay": replay.measure,
    "http": http.measure,
    "lag": lag.measure,
    "rebuild": rebuild.measure,
    "asof": asof.measure,
    "stream": stream.measure,
    "memory": memory.measure,
    "start": start.measure,
    "proofs": proofs.measure,
    "verify": verify.measure,
}

TRIES = 3  # of a quick work
QUICK_PART = 0.5  # of its target that a quick work has to reach


@dataclass
class Run:
    """What was measured on which PostgreSQL: results by work, and the works that `failed`."""

    postgresql: str
    results: dict[str, Result] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


async def run(works: Iterable[str], *, quick: bool) -> Run:
    """Measure each work in a database of its own. One that fails is told on standard error, and the others go on.

    SIGTERM ends it as Ctrl-C does, by cancelling what is under way: processes are ended, folders and databases removed,
    and processors given back. While that goes on another SIGTERM is not heeded.
    """
    ended_by_sigterm()
    async with server() as measured_on:
        done = Run(measured_on.version)
        for name in works:
            begun = time.perf_counter()

            async def once(name: str = name) -> Result:
                async with database(measured_on, name) as access:
                    return await WORKS[name](access, quick=quick)

            try:
                done.results[name] = await patiently(once) if quick else await once()
            except (Exception, SystemExit) as why:  # whatever it is, the others are not to be lost
                if ending():
                    raise asyncio.CancelledError from why
                tell(name, why)
                done.failed.append(name)
            print(f"{name} took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return done


def ending() -> bool:
    """Return whether the task that asks was told to end, whatever has become of that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def tell(work: str, why: BaseException) -> None:
    """Say on standard error why a work failed: in full, unless the bench itself found it out."""
    if not isinstance(why, (Failed, SystemExit)):
        traceback.print_exception(why)
    print(f"{work} failed: {why or type(why).__name__}", file=sys.stderr)


def ended_by_sigterm() -> None:
    """Have SIGTERM cancel the task that asks for it, unless it is being cancelled already."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - only a task can ask

    def end() -> None:
        if not task.cancelling():
            task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)


async def patiently(once: Callable[[], Awaitable[Result]]) -> Result:
    """Measure again while a ratio is below half its target, as a machine may be busy for a moment; the best of all.

    So that a work passes, one try has to reach half of all its targets.
    """
    found = [await once()]
    while found[-1].missed(QUICK_PART) and len(found) < TRIES:
        print(f"measured again, for {', '.join(found[-1].missed(QUICK_PART))}", file=sys.stderr)
        found.append(await once())
    return min(found, key=lambda result: len(result.missed(QUICK_PART)))


def asked() -> argparse.Namespace:
    """Read the arguments. What could not be done once all is measured is refused before."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("work", nargs="*", help=f"what to measure: {', '.join(WORKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, smaller logs, and no peers")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--chart", metavar="FILE", type=Path, help="draw the ratios beside their targets (SVG)")
    parser.add_argument(
        "--report", metavar="PAGE", type=Path, help="rewrite the marked part of a page, and its chart; after a full run"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.work if name not in WORKS]:
        parser.error(f"there is no work {', '.join(unknown)}; there are {', '.join(WORKS)}")
    arguments.work = list(dict.fromkeys(arguments.work or WORKS))
    if arguments.report:
        if arguments.quick or len(arguments.work) < len(WORKS):
            parser.error("--report writes the page anew: it takes a full run of all works, and so no --quick")
        try:
            report.check(arguments.report)
        except (OSError, ValueError) as why:
            parser.error(f"--report cannot write {arguments.report}: {why}")
    return arguments


def main() -> int:
    """Measure what is asked for, and write what was found."""
    arguments = asked()
    try:
        done = uvloop.run(run(arguments.work, quick=arguments.quick))
    except (KeyboardInterrupt, asyncio.CancelledError) as told:
        print("ended before all was measured", file=sys.stderr)
        return 128 + (signal.SIGINT if isinstance(told, KeyboardInterrupt) else signal.SIGTERM)
    if arguments.json:
        json.dump({name: result.as_json() for name, result in done.results.items()}, sys.stdout)
        sys.stdout.write("\n")
    else:
        for name, result in done.results.items():
            print(table(name, result))
    if arguments.chart:
        arguments.chart.write_text(chart(done.results), encoding="utf-8")
    if arguments.report and done.failed:
        print(f"{arguments.report} is left as it is, since not all was measured", file=sys.stderr)
    elif arguments.report:
        today = datetime.now(UTC).date()  # noqa: TID251 - it is of today
        report.write(arguments.report, done.results, today, done.postgresql)
    return max(judged(done.results, quick=arguments.quick), int(bool(done.failed)))


def judged(results: dict[str, Result], *, quick: bool) -> int:
    """Name the targets that are missed; the exit status."""
    status = 0
    for name, result in results.items():
        for ratio in result.missed(QUICK_PART if quick else 1.0):
            told = f"{result.ratios[ratio]:.2f}" if ratio in result.ratios else "not measured"
            print(f"{name} misses its target: {ratio} is {told}, not {result.targets[ratio]:g}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
