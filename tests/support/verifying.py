"""Verifies a folder in this process, and reads the report."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from events.merkle.note import ED25519, SigningKey
from services.registry.verify import verification
from services.registry.verify.export import Export
from services.registry.verify.report import Report
from services.registry.verify.verification import Asked

OTHER_KEY = SigningKey("other.test/log", ED25519, bytes(range(1, 33)))


def verified(folder: Path, **asked: Any) -> Report:
    return asyncio.run(verification.verify(Export(folder), Asked(**{"processes": 0, **asked})))


def lines(report: Report) -> list[str]:
    assert report.verified == (not report.findings) == (report.found == 0)
    return [one.line for one in report.findings]
