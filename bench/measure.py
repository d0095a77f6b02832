"""Figures: medians of interleaved rounds (A B A B …), with their spread."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """The median of several rounds, the lowest and the highest."""

    unit: str
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, unit: str, rounds: list[float]) -> Figure:
        """Take the figures of the rounds together."""
        return cls(unit, statistics.median(rounds), min(rounds), max(rounds))


@dataclass
class Result:
    """What a work gave: `ratios` are ours over the other's, so that more is better."""

    figures: dict[str, Figure] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)

    def missed(self, part: float = 1.0) -> list[str]:
        """Name the ratios that are below a part of their target, and those that are missing."""
        return [name for name, target in self.targets.items() if self.ratios.get(name, 0.0) < target * part]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "figures": {
                name: {
                    "unit": figure.unit,
                    "median": round(figure.median, 3),
                    "low": round(figure.low, 3),
                    "high": round(figure.high, 3),
                }
                for name, figure in self.figures.items()
            },
            "ratios": {name: round(ratio, 3) for name, ratio in self.ratios.items()},
            "targets": self.targets,
        }


class Failed(Exception):
    """A work cannot be measured: says why. Others can.

    It is no SystemExit, which ends the event loop, and with it all works, where a task of a work raises it.
    """


class Silent(Exception):
    """A contestant has failed or does not answer, and will not any more: says why."""


async def interleave(contestants: Mapping[str, Callable[[], Awaitable[float]]], rounds: int) -> dict[str, list[float]]:
    """Run each contestant once unmeasured, then all of them in turn, `rounds` times; the order turns each time.

    One that raises `Silent` is named on standard error and takes no further part: it is not among what was found.
    """
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        names = list(found)
        for name in names if number % 2 or not number else reversed(names):
            try:
                rate = await contestants[name]()
            except Silent as why:
                print(f"{name} takes no further part: {why}", file=sys.stderr)
                del found[name]
                continue
            if number:
                found[name].append(rate)
                print(f"round {number}/{rounds} {name}: {rate:,.0f}", file=sys.stderr)
    return found


def paired(ours: list[float], theirs: list[float]) -> float:
    """Return the median ratio of rounds that were beside each other: what slows the machine down slows down both."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def table(name: str, result: Result) -> str:
    """Write a result for people."""
    lines = [name]
    for label, figure in result.figures.items():
        spread = f"{figure.low:,.2f} to {figure.high:,.2f}"
        lines.append(f"  {label:28} {figure.median:>12,.2f} {figure.unit:12} ({spread})")
    for label, ratio in result.ratios.items():
        target = f" (target {result.targets[label]:g})" if label in result.targets else ""
        lines.append(f"  ours / {label:21} {ratio:>12,.2f}{target}")
    return "\n".join(lines)
