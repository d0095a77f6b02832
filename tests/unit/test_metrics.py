"""What is measured has bounds, and a page is what Prometheus reads."""

from __future__ import annotations

import math
import re
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from events.log.distribution import Distribution
from services.registry.metrics import catalogue
from services.registry.metrics.catalogue import METRICS, Metric
from services.registry.metrics.page import Page
from services.registry.metrics.requests import OTHER, UNANSWERED, UNMATCHED, Requests

UNITS = ("_seconds", "_bytes", "_ratio", "_entries", "_commands", "_connections", "_info", "_total")
FLAGS = {"registry_database_up", "registry_signing_stopped", "registry_projector_active", "registry_rebuilds_running"}


@given(st.lists(st.floats(0, 1000)), st.lists(st.floats(0, 1000), min_size=1, unique=True).map(sorted))
def test_a_distribution_counts_what_is_at_or_below_each_bound(values: list[float], bounds: list[float]):
    distribution = Distribution(bounds)
    for value in values:
        distribution.note(value)

    assert dict(distribution.cumulated()) == {
        bound: sum(value <= bound for value in values) for bound in (*bounds, math.inf)
    }
    assert distribution.total == pytest.approx(sum(values))
    assert distribution.count == len(values)


def test_the_bound_itself_belongs_below():
    assert bisect_left((1.0, 2.0), 1.0) == 0  # as Prometheus's `le` has it


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_names_them(metric: Metric):
    assert re.fullmatch(r"registry(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith(UNITS) or metric.name in FLAGS
    assert metric.says.endswith(".")
    assert set(metric.labels) <= {"version", "state", "method", "route", "status"}


def test_no_two_metrics_share_a_name():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_what_clients_make_up_is_no_label():
    requests = Requests()
    for nth in range(100):
        requests.ended(f"METHOD{nth}", None, None, 0.1)
        requests.ended("GET", None, 404, 0.1)
    requests.ended("GET", "/v1/parties/{id}", 200, 0.1)

    assert requests.answered == {
        (OTHER, UNMATCHED, UNANSWERED): 100,
        ("GET", UNMATCHED, "404"): 100,
        ("GET", "/v1/parties/{id}", "200"): 1,
    }
    assert {key: seconds.count for key, seconds in requests.seconds.items()} == {
        (OTHER, UNMATCHED): 100,
        ("GET", UNMATCHED): 100,
        ("GET", "/v1/parties/{id}"): 1,
    }


async def test_a_page_is_what_prometheus_reads():
    seconds = Distribution((0.5, 1.0))
    for value in (0.25, 0.75, 2.0):
        seconds.note(value)
    page = Page()
    page.value(catalogue.COMMANDS, 7)
    page.value(catalogue.HTTP_REQUESTS, 2, "GET", "/v1/parties", "200")
    page.distribution(catalogue.APPEND_SECONDS, seconds)

    read = {family.name: family for family in text_string_to_metric_families((await page.text()).decode())}
    assert [sample.value for sample in read["registry_append_commands"].samples] == [7]
    (sample,) = read["registry_http_requests"].samples
    assert (sample.name, sample.value) == ("registry_http_requests_total", 2)
    assert sample.labels == {"method": "GET", "route": "/v1/parties", "status": "200"}
    assert {
        (sample.name.removeprefix("registry_append_seconds"), sample.labels.get("le")): sample.value
        for sample in read["registry_append_seconds"].samples
    } == {
        ("_bucket", "0.5"): 1,
        ("_bucket", "1.0"): 2,
        ("_bucket", "+Inf"): 3,
        ("_count", None): 3,
        ("_sum", None): 3.0,
    }


def test_a_metric_is_written_as_what_it_is():
    page = Page()
    with pytest.raises(TypeError, match="histogram"):
        page.value(catalogue.APPEND_SECONDS, 1)
    with pytest.raises(TypeError, match="counter"):
        page.distribution(catalogue.COMMANDS, Distribution((1,)))
