"""Files that are handed to the project rather than kept in it: `shared/`, beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[3] / "shared"


def shared_path(*parts: str) -> Path:
    """Return the path of a shared file. Where it is missing the test is skipped with a message that names it.

    With REGISTRY_TEST_REQUIRE=all the test fails instead.
    """
    path = _SHARED.joinpath(*parts)
    if not path.exists():
        missing = f"missing: {Path('..', 'shared', *parts)} (beside the checkout)"
        if os.environ.get("REGISTRY_TEST_REQUIRE") == "all":
            pytest.fail(missing)
        pytest.skip(missing)
    return path
