"""`python -m bench [WORK…] [--quick] [--json]`: progress goes to standard error, the result to standard output."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from bench import append, asof, bulk, http, lag, memory, proofs, read, rebuild, replay, start, stream, verify
from bench.database import database
from bench.measure import Result, table

WORKS: dict[str, Callable[..., Awaitable[Result]]] = {
    "append": append.measure,
    "bulk": bulk.measure,
    "http": http.measure,
    "lag": lag.measure,
    "asof": asof.measure,
    "stream": stream.measure,
    "memory": memory.measure,
    "start": start.measure,
    "read": read.measure,
    "replay": replay.measure,
    "proofs": proofs.measure,
    "rebuild": rebuild.measure,
    "verify": verify.measure,
}


async def run(works: list[str], *, quick: bool) -> dict[str, Result]:
    """Measure each work in a database of its own."""
    results: dict[str, Result] = {}
    for name in works:
        async with database(name) as access:
            results[name] = await WORKS[name](access, quick=quick)
    return results


def main() -> None:
    """Read the arguments, measure, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("work", nargs="*", help=f"what to measure: {', '.join(WORKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.work if name not in WORKS]:
        parser.error(f"there is no work {', '.join(unknown)}; there are {', '.join(WORKS)}")
    results = asyncio.run(run(arguments.work or list(WORKS), quick=arguments.quick))
    if arguments.json:
        json.dump({name: result.as_json() for name, result in results.items()}, sys.stdout)
        sys.stdout.write("\n")
    else:
        for name, result in results.items():
            print(table(name, result))


if __name__ == "__main__":
    main()
