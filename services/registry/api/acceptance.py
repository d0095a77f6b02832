"""What a client accepts: the `Accept` field, its ranges and their weights (RFC 9110, sections 12.4.2 and 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, section 5.6.2
_MEMBER: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PART: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+')
_RANGE: Final = re.compile(rf"(\*|(?!\*/){_TOKEN})/({_TOKEN})")
_WEIGHT: Final = re.compile(r"[ \t]*[Qq]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*")
_WEIGHS: Final = re.compile(r"[ \t]*[Qq][ \t]*(=|$)")


class _Range(NamedTuple):
    """A media range with its weight in thousandths and its place in the field."""

    main: str
    sub: str
    weight: int
    place: int

    def specificity(self, media_type: str) -> int | None:
        """Return how closely it describes a media type, None if it does not."""
        main, _, sub = media_type.partition("/")
        if (self.main, self.sub) == ("*", "*"):
            return 0
        if self.main != main or self.sub not in ("*", sub):
            return None
        return 1 if self.sub == "*" else 2


def best(field: str, served: Sequence[str]) -> str | None:
    """Return the media type that a client would have of those that are served, None if it accepts none of them.

    Each weighs what the closest of the ranges that describe it says, and one of weight 0 is not acceptable. Of those
    that weigh the same it is that which is described more closely, then earlier in the field, then served first.
    Members that are not in form, whose weight is none among them, are passed over: they say nothing that can be known.
    Parameters are not looked at.
    """
    ranges = list(_ranges(field))
    found: str | None = None
    highest = (0, 0, 0)
    for media_type in served:
        describing = [(close, -one.place, one) for one in ranges if (close := one.specificity(media_type)) is not None]
        if describing:
            close, place, one = max(describing)
            if one.weight and (found is None or (one.weight, close, place) > highest):
                found, highest = media_type, (one.weight, close, place)
    return found


def _ranges(field: str) -> Iterator[_Range]:
    for place, member in enumerate(_MEMBER.findall(field)):
        kind, *parameters = _PART.findall(member) or [""]
        described = _RANGE.fullmatch(kind.strip(" \t").lower())
        weights = [one for one in parameters if _WEIGHS.match(one)]
        weight = _WEIGHT.fullmatch(weights[0]) if weights else None
        if described is None or (described[1] == "*" and described[2] != "*"):
            continue
        if not weights:
            yield _Range(described[1], described[2], 1000, place)
        elif weight is not None and len(weights) == 1:
            whole, _, fraction = weight[1].partition(".")
            yield _Range(described[1], described[2], int(whole) * 1000 + int(fraction.ljust(3, "0")), place)
