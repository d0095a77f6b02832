"""Prometheus's own tool takes its configuration and the alerts, and each alert is raised when it should be."""

from __future__ import annotations

import docker
import pytest

from tests.support.watching import DEPLOY

FOLDER = "/etc/prometheus"


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "--lint=all", "--lint-fatal", f"{FOLDER}/prometheus.yml"],
        ["check", "rules", "--lint=all", "--lint-fatal", f"{FOLDER}/alerts.yml"],
        ["test", "rules", f"{FOLDER}/alerts_test.yml"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_promtool_finds_nothing_wrong(prometheus: str, command: list[str]):
    client = docker.from_env()
    try:
        said = client.containers.run(
            prometheus,
            command,
            entrypoint="promtool",
            volumes={str(DEPLOY / "prometheus"): {"bind": FOLDER, "mode": "ro"}},
            network_mode="none",
            remove=True,
            stderr=True,
        )
    finally:
        client.close()
    assert b"SUCCESS" in said
