"""The `registry` command as a person at a terminal uses it: in a process of its own, told by what it prints."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

READY = "Ctrl-C stops it."
PATIENCE = 60.0  # seconds, for whatever a command has to do


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the registry, but for these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    return {**kept, **(settings or {})}


def registry(
    *arguments: str, settings: Mapping[str, str] | None = None, given: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with `given` on its standard input."""
    done = subprocess.run(
        command(*arguments),
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        check=False,
        env=environment(settings),
        timeout=PATIENCE,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "services.registry.cli.app", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Up:
    """`registry up` on a folder and a free port; entered when it says that it is ready, gone when it is left."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.printed = ""
        self._journal = data.with_name(f"{data.name}.journal")
        with self._journal.open("ab") as journal:
            self.process = subprocess.Popen(
                command("up", "--data", str(data), "--port", str(self.port), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=journal,
                env=environment(),
                text=True,
            )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                self.printed += line
                if line.strip() == READY:
                    return self
        finally:
            watchdog.cancel()
        self.__exit__()
        raise AssertionError(f"it ended with {self.process.returncode}:\n{self.printed}{self.journal}")

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def journal(self) -> str:
        return self._journal.read_text(encoding="utf-8")

    @property
    def token(self) -> str:
        return (self.data / "token").read_text(encoding="utf-8").strip()

    @property
    def variables(self) -> Mapping[str, str]:
        """What it wrote down for other commands, as a shell reads it."""
        script = f"set -a; . '{self.data}/env'; env -0"
        shown = subprocess.run(
            ["/bin/sh", "-c", script], check=True, capture_output=True, env={"PATH": os.environ["PATH"]}
        )
        pairs = (pair.decode().partition("=") for pair in shown.stdout.split(b"\0") if pair)
        return {name: value for name, _, value in pairs if name.startswith("REGISTRY_")}

    def curl(self) -> str:
        """The command that it printed for a person to try."""
        found = re.search(r"^ +(curl .*)$", self.printed, re.MULTILINE)
        assert found
        return found[1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()
