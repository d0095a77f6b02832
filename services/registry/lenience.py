"""JSON as clients send it: what is only just JSON is decoded all the same, so that the fields can be named."""

from __future__ import annotations

import json

import msgspec

from events.errors import FieldProblem
from services.registry import repetitions

MAX_DIGITS = 400  # of a number; a decimal one has 309 at the most before it is infinite


def decode(content: bytes, problems: list[FieldProblem]) -> object:
    """Decode JSON, with half surrogate pairs and endless numbers in it too; add to the problems what it says twice.

    Raises ValueError with the reason, and RecursionError for what is nested beyond the stack.
    """
    try:
        decoded: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as refused:
        return _decode(content, str(refused), problems)
    if repetitions.possible(content, decoded):
        problems += repetitions.named(content)
    return decoded


def _decode(content: bytes, reason: str, problems: list[FieldProblem]) -> object:
    """Decode what msgspec does not take, for a reason."""
    try:
        text = content.decode()
    except UnicodeDecodeError as refused:
        # Counted from where the content begins: msgspec counts from where the text in it does.
        raise ValueError(f"it is not UTF-8 (byte {refused.start} is wrong)") from None
    try:
        decoded: object = json.loads(text, parse_constant=_no_constant, parse_int=_integer)
        problems += repetitions.named(content)
    except (ValueError, RecursionError):
        raise ValueError(reason) from None
    return decoded


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _integer(digits: str) -> int | float:
    """Read what Python takes for a number at once; any other is far out of every bound that there is."""
    return int(digits) if len(digits) < MAX_DIGITS else float("inf")
