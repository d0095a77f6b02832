"""Reading metrics as Prometheus does."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


class Scraped:
    """A page that was read: its samples by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: dict[Sample, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    @property
    def names(self) -> set[str]:
        """The metrics' names, as they stand in the catalogue; without those that every process has."""
        counters = {name for name, family in self.families.items() if family.type == "counter"}
        whole = {f"{name}_total" if name in counters else name for name in self.families}
        return {name for name in whole if not name.startswith("process_")}

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def labels(self, label: str) -> set[str]:
        """Every value of a label."""
        return {value for _, labels in self.samples for key, value in labels if key == label}


async def scrape(client: httpx.AsyncClient, url: str = "/metrics") -> Scraped:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return Scraped(answer.text)
