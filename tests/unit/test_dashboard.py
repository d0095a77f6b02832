"""The dashboard is what Grafana reads: every field of it is one that Grafana's own schema knows, in its place."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.watching import DASHBOARD

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # a newer form of dashboards is preferred; Grafana reads both
    from grafana_foundation_sdk.cog import encoder, plugins, runtime
    from grafana_foundation_sdk.models import dashboard, units

plugins.register_default_plugins()
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}


def unknown(made: dict[str, Any]) -> list[str]:
    """Return where a dashboard has what does not come back from Grafana's types, which keep what they know."""
    kept = json.loads(encoder.JSONEncoder().encode(dashboard.Dashboard.from_json(copy.deepcopy(made))))
    return list(lost(made, kept, ""))


def lost(given: Any, kept: Any, at: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name), f"{at}/{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{at}/{number}")
    elif given != kept:
        yield at


def test_grafana_knows_every_field_of_it():
    assert unknown(DASHBOARD) == []


def test_grafana_knows_what_its_panels_are_and_the_units_that_they_are_in():
    known = runtime.Runtime()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in known.panelcfg_variants, panel["title"]
        assert panel["datasource"]["type"] in known.dataquery_variants, panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit", "none") in UNITS, panel["title"]


def rename(name: str, to: str) -> Callable[[dict[str, Any]], None]:
    def change(thing: dict[str, Any]) -> None:
        thing[to] = thing.pop(name)

    return change


@pytest.mark.parametrize(
    ("at", "change"),
    [
        ("/panels/0/gridpos", lambda made: rename("gridPos", "gridpos")(made["panels"][0])),
        ("/panels/0/targets/0/query", lambda made: rename("expr", "query")(made["panels"][0]["targets"][0])),
        ("/panels/0/fieldConfig/default", lambda made: rename("defaults", "default")(made["panels"][0]["fieldConfig"])),
        ("/panels/0/options/legend/show", lambda made: made["panels"][0].update(options={"legend": {"show": True}})),
        ("/refreshes", rename("refresh", "refreshes")),
    ],
)
def test_a_field_that_is_misspelt_is_found(at: str, change: Callable[[dict[str, Any]], None]):
    made = copy.deepcopy(DASHBOARD)
    change(made)
    assert unknown(made) == [at]
