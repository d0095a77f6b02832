"""A chart of all ratios beside their targets, as SVG: a bar a ratio, by how far it is from its target."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import log2

from bench.measure import Result

WIDTH, LEFT, ROW, TOP = 860, 330, 22, 40
MIDDLE = 560  # where a ratio is that just meets its target
SPAN = 230  # pixels for what is as far off as can be shown
FURTHEST = 4.0  # doublings
MET, MISSED = "#2f7d4f", "#b5482f"


def chart(results: Mapping[str, Result]) -> str:
    """Draw every ratio that has a target; the scale is logarithmic, and ends at sixteen times and a sixteenth."""
    rows = [
        (f"{work}: {name}", result.ratios.get(name), target)
        for work, result in results.items()
        for name, target in result.targets.items()
    ]
    height = TOP + ROW * len(rows) + 20
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        '<g font-family="sans-serif" font-size="12">',
        "<title>Ratios that were measured, beside their targets</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{MIDDLE}" y="24" text-anchor="middle" fill="#444">target</text>',
    ]
    for number, (label, ratio, target) in enumerate(rows):
        drawn += _row(TOP + number * ROW, label, ratio, target)
    drawn.append(f'<line x1="{MIDDLE}" y1="{TOP - 8}" x2="{MIDDLE}" y2="{height - 14}" stroke="#444"/>')
    return "\n".join([*drawn, "</g>", "</svg>", ""])


def _row(top: int, label: str, ratio: float | None, target: float) -> list[str]:
    text = f'<text x="{LEFT - 10}" y="{top + 14}" text-anchor="end" fill="#222">{escape(label)}</text>'
    if ratio is None:
        return [text, f'<text x="{MIDDLE + 6}" y="{top + 14}" fill="{MISSED}">not measured</text>']
    length = reach(ratio, target)
    bar = (
        f'<rect x="{MIDDLE + min(length, 0):.1f}" y="{top + 3}" width="{abs(length):.1f}" height="{ROW - 8}" '
        f'fill="{MET if ratio >= target else MISSED}"/>'
    )
    side, anchor = (4, "start") if length >= 0 else (-4, "end")
    told = f"{ratio:.2f} of {target:g}"
    return [
        text,
        bar,
        f'<text x="{MIDDLE + length + side:.1f}" y="{top + 14}" text-anchor="{anchor}" fill="#222">{told}</text>',
    ]


def reach(ratio: float, target: float) -> float:
    """Return how far from the middle a bar reaches: right of it where the target is met, left where it is missed."""
    if ratio <= 0:
        return -SPAN * 0.7
    doublings = max(-FURTHEST, min(FURTHEST, log2(ratio) - log2(target)))
    return doublings / FURTHEST * SPAN * 0.7
