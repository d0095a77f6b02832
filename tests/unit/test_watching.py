"""What watches the registry asks for metrics that there are, and is told of in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from services.registry.api.health import MAX_LAG
from services.registry.metrics.catalogue import METRICS, Metric
from tests.support.watching import ALERTS, ASKED, DASHBOARD, DEPLOY, ROOT, TRIALS, read

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OF_PROMETHEUS = {"up"}
LABELS = {"job", "instance", "le"}
COMPOSE = read(ROOT / "docker-compose.yml")
SCRAPING = read(DEPLOY / "prometheus" / "prometheus.yml")


def exposed(metric: Metric) -> Iterator[str]:
    if metric.kind == "histogram":
        yield from (f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
    else:
        yield metric.name


EXPOSED = {name: metric for metric in METRICS for name in exposed(metric)}


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize(("of", "expression"), ASKED)
def test_alerts_and_dashboard_ask_for_what_there_is(of: str, expression: str):
    asked = selectors(expression)
    assert asked
    for one in asked:
        assert one.name in EXPOSED or one.name in OF_PROMETHEUS, of
        allowed = LABELS | set(EXPOSED[one.name].labels if one.name in EXPOSED else ())
        assert {matcher.name for matcher in one.matchers.matchers} <= allowed, of


@pytest.mark.parametrize(("of", "expression"), ASKED)
def test_what_only_grows_is_asked_for_its_rate(of: str, expression: str):
    for name in {selector.name for selector in selectors(expression)}:
        bare = re.findall(rf"(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[", expression)
        if EXPOSED.get(name or "") and EXPOSED[name or ""].kind != "gauge":
            assert len(bare) == len(re.findall(rf"\b{name}\b", expression)), of


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_grave_it_is_and_what_is_wrong(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".") or "{{" in rule["annotations"]["summary"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_trial_in_which_it_is_raised_and_one_in_which_it_is_not(rule: dict[str, Any]):
    """Prometheus's own tool runs them (tests/containers/test_prometheus.py)."""
    outcomes = {
        bool(step["exp_alerts"])
        for trial in TRIALS
        for step in trial["alert_rule_test"]
        if step["alertname"] == rule["alert"]
    }
    assert outcomes == {False, True}


def section() -> str:
    """The section of the operator's page that is about watching."""
    found = re.search(r"^## Watch it$(.*?)^## ", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_every_metric_and_every_alert_is_explained_to_operators():
    rows = re.findall(r"^\| `(\w+)` \|", section(), re.MULTILINE)
    assert sorted(rows) == sorted([*(metric.name for metric in METRICS), *(rule["alert"] for rule in ALERTS)])


def test_the_alert_for_replicas_that_are_not_ready_goes_by_what_readiness_goes_by():
    (rule,) = [rule for rule in ALERTS if rule["alert"] == "RegistryReadModelsFarBehind"]
    assert rule["expr"].endswith(f"> {MAX_LAG}")


# The compose file


def test_prometheus_reads_where_the_containers_show_their_metrics():
    services = COMPOSE["services"]
    jobs = {job["job_name"]: job for job in SCRAPING["scrape_configs"]}
    for job, service in (("registry-api", "api"), ("registry-projector", "projector")):
        (found,) = jobs[job]["dns_sd_configs"]
        assert found["names"] == [service]
        assert found["port"] == services[service]["environment"]["REGISTRY_METRICS_PORT"]
        assert services["prometheus"]["networks"] == ["watch"]
        assert "watch" in services[service]["networks"]
        assert "ports" not in services[service]
    assert SCRAPING["rule_files"] == ["alerts.yml"]
    assert COMPOSE["networks"]["watch"]["internal"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_watches_is_started_when_asked_for_and_held_at_a_version(name: str):
    service = COMPOSE["services"][name]
    assert service["profiles"] == ["observability"]
    assert re.fullmatch(rf"\$\{{{name.upper()}_IMAGE:-\S+/\S+:v?\d+\.\d+\.\d+\}}", service["image"])


def test_the_dashboard_asks_the_source_that_is_provisioned():
    (source,) = read(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    (provider,) = read(DEPLOY / "grafana" / "provisioning" / "dashboards" / "registry.yml")["providers"]
    mounted = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
