"""The page that Prometheus reads, in its text format 0.0.4, and what every page has.

It is always answered: while the database cannot be used it says so, and has what needs no database.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from events.errors import LogUnavailable
from events.log.distribution import Distribution
from events.log.read import Pool
from services.registry.metrics import catalogue, figures
from services.registry.metrics.catalogue import Metric as Described
from services.registry.metrics.figures import Figures
from services.registry.version import VERSION

MEDIA_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
PATIENCE: Final = 3.0  # seconds that the database is given; Prometheus gives up a page after 10, unless told otherwise

_FAMILIES: Final = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Page(Collector):
    """A page in the making: metrics of the catalogue, and those of the process."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self.value(catalogue.BUILD, 1, VERSION)

    def value(self, metric: Described, value: float, *labels: str) -> None:
        """Write what a counter or a gauge is at."""
        family = self._family(metric)
        if not isinstance(family, (CounterMetricFamily, GaugeMetricFamily)):
            raise TypeError(f"{metric.name} is a {metric.kind}")
        family.add_metric(labels, value)

    def distribution(self, metric: Described, values: Distribution, *labels: str) -> None:
        """Write how what a histogram measures is spread."""
        family = self._family(metric)
        if not isinstance(family, HistogramMetricFamily):
            raise TypeError(f"{metric.name} is a {metric.kind}")
        family.add_metric(labels, [(_bound(bound), count) for bound, count in values.cumulated()], values.total)

    def _family(self, metric: Described) -> Metric:
        if metric.name not in self._families:
            self._families[metric.name] = _FAMILIES[metric.kind](metric.name, metric.says, labels=metric.labels)
        return self._families[metric.name]

    def figures(self, known: Figures) -> None:
        """Write how far log and read models are."""
        self.value(catalogue.LOG_ENTRIES, known.size)
        self.value(catalogue.PROJECTION_ENTRIES, known.shown)
        self.value(catalogue.LAG_ENTRIES, known.size - known.shown)
        self.value(catalogue.LAG_SECONDS, known.behind)
        self.value(catalogue.REBUILDS, known.building)
        if known.built is not None:
            self.value(catalogue.REBUILD_PROGRESS, known.built / known.size if known.size else 1.0)

    def collect(self) -> Iterator[Metric]:
        """Yield what was written; called by `text`."""
        yield from self._families.values()
        yield from ProcessCollector(registry=None).collect()

    async def text(self) -> bytes:
        """Return the page as it is sent, as `MEDIA_TYPE`; nothing more may be written to it.

        Thousands of lines take a tenth of a second and more, for which nobody else is kept waiting.
        """
        return await asyncio.to_thread(generate_latest, self)


def _bound(bound: float) -> str:
    return "+Inf" if bound == math.inf else repr(float(bound))


async def ask(page: Page, pool: Pool) -> bool:
    """Write what the database knows, and whether it answered; return that."""
    try:
        async with asyncio.timeout(PATIENCE):
            known = await figures.read(pool)
    except (LogUnavailable, TimeoutError):
        page.value(catalogue.DATABASE_UP, 0)
        return False
    page.value(catalogue.DATABASE_UP, 1)
    page.figures(known)
    return True
