"""What `deploy/` asks of Prometheus: its alerts with their trials, and the dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


ALERTS = [rule for group in read(DEPLOY / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]]
TRIALS = read(DEPLOY / "prometheus" / "alerts_test.yml")["tests"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "registry.json").read_text(encoding="utf-8"))
SHOWN = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
ASKED = [*((rule["alert"], rule["expr"]) for rule in ALERTS), *SHOWN]
"""Every expression, with what asks it."""
