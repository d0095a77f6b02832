"""Files that are handed to the project rather than kept in it: `shared/`, beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parents[2]


def shared_path(*parts: str) -> Path:
    """Return the path of a shared file.

    Where it is missing the test is skipped with a message that names it, and fails with
    REGISTRY_TEST_REQUIRE=all (`tests/conftest.py`).
    """
    path = _CHECKOUT.parent.joinpath("shared", *parts)
    if not path.exists():
        pytest.skip(f"missing: {Path('..', 'shared', *parts)} (beside the checkout)")
    return path
