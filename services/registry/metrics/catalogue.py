"""Every metric there is: its name, what it tells and its labels. A page has none but these.

Names are Prometheus's: base units, `_total` behind what only grows. The alerts and the dashboard in `deploy/`, and
docs/operations.md, are held to this table by tests. What a label may hold has bounds: routes as they are declared,
methods and statuses as HTTP has them.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class Metric(msgspec.Struct, frozen=True):
    """One metric; a histogram is exposed with `_bucket`, `_sum` and `_count` behind its name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    labels: tuple[str, ...] = ()


def _counter(name: str, says: str, *labels: str) -> Metric:
    return Metric(f"registry_{name}_total", "counter", says, labels)


def _gauge(name: str, says: str, *labels: str) -> Metric:
    return Metric(f"registry_{name}", "gauge", says, labels)


def _histogram(name: str, says: str, *labels: str) -> Metric:
    return Metric(f"registry_{name}", "histogram", says, labels)


BUILD: Final = _gauge("build_info", "1, with the program's version.", "version")
DATABASE_UP: Final = _gauge("database_up", "Whether the database answered when it was asked for this page.")
LOG_ENTRIES: Final = _gauge("log_entries", "Entries in the log: its size.")
PROJECTION_ENTRIES: Final = _gauge("projection_entries", "Entries that the read models of this version show.")
LAG_ENTRIES: Final = _gauge("projection_lag_entries", "Entries that the read models of this version do not show yet.")
LAG_SECONDS: Final = _gauge("projection_lag_seconds", "Age of the oldest entry that they do not show; 0 without one.")
REBUILDS: Final = _gauge("rebuilds_running", "Generations of read models that are being built beside what is shown.")
REBUILD_PROGRESS: Final = _gauge(
    "rebuild_progress_ratio", "How far the newest of them is, from 0 to 1; absent while none is being built."
)

APPEND_SECONDS: Final = _histogram("append_seconds", "Time of a command from the writer's queue until it is durable.")
APPEND_BATCH: Final = _histogram("append_batch_entries", "Entries that were recorded in one transaction.")
COMMANDS: Final = _counter("append_commands", "Commands recorded.")
ENTRIES: Final = _counter("append_entries", "Entries recorded.")
BATCHES: Final = _counter("append_batches", "Batches recorded.")
REPLAYS: Final = _counter("append_replays", "Commands that the writer found to have been recorded before.")
REBUILT: Final = _counter("append_batches_rebuilt", "Batches put together again, as the log was not as assumed.")
RESENT: Final = _counter("append_batches_resent", "Batches sent again, as their outcome was unknown.")
QUEUE_COMMANDS: Final = _gauge("append_queue_commands", "Commands that wait to be recorded.")
QUEUE_BYTES: Final = _gauge("append_queue_bytes", "Bytes of entries that wait to be recorded.")
QUEUE_LIMIT: Final = _gauge("append_queue_limit_commands", "Commands that may wait (REGISTRY_QUEUE_LIMIT).")
POOL: Final = _gauge("pool_connections", "Connections of the pool to the database.", "state")
POOL_LIMIT: Final = _gauge("pool_limit_connections", "Connections that the pool may have (REGISTRY_POOL_SIZE).")
CHECKPOINT_ENTRIES: Final = _gauge("checkpoint_entries", "Entries under the published checkpoint; 0 without one.")
CHECKPOINT_AGE: Final = _gauge(
    "checkpoint_age_seconds",
    "Time since the published checkpoint was signed. It grows while the log does not: compare the entries first.",
)
SIGNING_STOPPED: Final = _gauge("signing_stopped", "1 while this process refuses to sign (the journal tells why).")
BACKUP_AGE: Final = _gauge(
    "backup_age_seconds",
    "Time since the newest base backup ended, +Inf without one; absent where nobody tells it.",
)
HTTP_REQUESTS: Final = _counter("http_requests", "Requests answered.", "method", "route", "status")
HTTP_SECONDS: Final = _histogram(
    "http_request_seconds", "Time of a request until its answer has ended.", "method", "route"
)

PROJECTOR_ACTIVE: Final = _gauge("projector_active", "Whether this process projects; 0 while it stands by.")
PROJECTOR_LOSSES: Final = _counter("projector_interruptions", "Times the projector lost the database or its place.")

_EVERYWHERE: Final = (
    BUILD,
    DATABASE_UP,
    LOG_ENTRIES,
    PROJECTION_ENTRIES,
    LAG_ENTRIES,
    LAG_SECONDS,
    REBUILDS,
    REBUILD_PROGRESS,
)
OF_SERVICE: Final = (
    *_EVERYWHERE,
    APPEND_SECONDS,
    APPEND_BATCH,
    COMMANDS,
    ENTRIES,
    BATCHES,
    REPLAYS,
    REBUILT,
    RESENT,
    QUEUE_COMMANDS,
    QUEUE_BYTES,
    QUEUE_LIMIT,
    POOL,
    POOL_LIMIT,
    CHECKPOINT_ENTRIES,
    CHECKPOINT_AGE,
    SIGNING_STOPPED,
    BACKUP_AGE,
    HTTP_REQUESTS,
    HTTP_SECONDS,
)
"""What `serve` and `up` tell."""
OF_PROJECTOR: Final = (*_EVERYWHERE, PROJECTOR_ACTIVE, PROJECTOR_LOSSES)
"""What `project` tells."""
METRICS: Final = tuple(dict.fromkeys((*OF_SERVICE, *OF_PROJECTOR)))
"""All of them. A page also has `process_*`, as every program with Prometheus's client has."""
