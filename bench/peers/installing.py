"""Peers are installed into a cache of the bench, pinned with hashes, and not again while the pins are the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

SECONDS = 600


class Missing(Exception):
    """A peer cannot be installed, or cannot be run: says why."""


def eventsourcing() -> Path:
    """Return the Python of an environment that has `eventsourcing`. Raises `Missing`."""
    pins = files("bench.peers").joinpath("requirements.txt").read_bytes()
    folder = _cache("python", pins)
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        listed = folder / "requirements.txt"
        listed.write_bytes(pins)
        _run(str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(listed))
        (folder / "complete").touch()
    return python


def node() -> Path:
    """Return the folder in which Emmett and message-db are. Raises `Missing`."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Missing("node and npm are not on the path")
    here = files("bench.peers")
    pins = {name: here.joinpath(name).read_bytes() for name in ("package.json", "package-lock.json")}
    folder = _cache("node", b"".join(pins.values()))
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in pins.items():
            (folder / name).write_bytes(content)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))
        (folder / "complete").touch()
    return folder


def psql() -> Path:
    """Return a folder with `psql`: that of the embedded PostgreSQL, else the path's. Raises `Missing`."""
    from services.registry.embedded_programs import find  # noqa: PLC0415 - only where a peer needs it

    if (find() / "psql").is_file():
        return find()
    if found := shutil.which("psql"):
        return Path(found).parent
    raise Missing("there is no psql, which its install script runs")


def _cache(kind: str, pins: bytes) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return root / "registry-bench" / f"{kind}-{hashlib.sha256(pins).hexdigest()[:16]}"


def _run(*command: str) -> None:
    print(f"installing: {' '.join(command[:4])} …", file=sys.stderr)
    try:
        subprocess.run(command, check=True, stdout=sys.stderr, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as failed:
        raise Missing(f"{command[0]} failed: {failed}") from failed
