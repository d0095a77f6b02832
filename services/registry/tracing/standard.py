"""The variables that OpenTelemetry gave every program: which of them hold here, and what is wrong with them.

The SDK reads most of them by itself and passes over what it does not understand; here that stops the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

TRACES_PATH: Final = "/v1/traces"


class Variable(NamedTuple):
    """A variable, what it does, and what may stand in it: in words, and as a check."""

    name: str
    meaning: str
    allowed: str
    fits: Callable[[str], bool]


def _one_of(*values: str) -> tuple[str, Callable[[str], bool]]:
    return "one of " + ", ".join(values), lambda text: text.strip().lower() in values


def _number(least: int) -> tuple[str, Callable[[str], bool]]:
    return f"a whole number, at least {least}", lambda text: text.isdecimal() and int(text) >= least


def _ratio(text: str) -> bool:
    return re.fullmatch(r"0|1|[01]?\.[0-9]+|1\.0*", text) is not None and float(text) <= 1


def _any(_text: str) -> bool:
    return True


SAMPLERS: Final = _one_of(
    "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
    "parentbased_traceidratio",
)  # fmt: skip
HTTP: Final = _one_of("http/protobuf")

VARIABLES: Final = (
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        f"The collector, where `REGISTRY_TRACING_ENDPOINT` is not set; `{TRACES_PATH}` is put behind it.",
        "an http or https URL, such as http://collector:4318",
        _any,  # checked as REGISTRY_TRACING_ENDPOINT is
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "The same, for traces alone and as it stands; it goes before that.",
        "an http or https URL, such as http://collector:4318/v1/traces",
        _any,
    ),
    Variable("OTEL_TRACES_EXPORTER", "`none`: the two above count for nothing.", *_one_of("otlp", "none")),
    Variable("OTEL_SDK_DISABLED", "`true`: no traces, whatever else is set.", *_one_of("true", "false")),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", "How traces are sent.", *HTTP),
    Variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "How traces are sent.", *HTTP),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers to send with them, such as a key of the collector's. A secret.",
        "name=value, separated by commas",
        _any,
    ),
    Variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "The CA that the collector's certificate is of.", "a path", _any),
    Variable(
        "OTEL_SERVICE_NAME",
        "What this process is called, in place of `registry-api` and `registry-projector`.",
        "a name",
        _any,
    ),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "What else is told of it, such as `deployment.environment.name=production`.",
        "name=value, separated by commas",
        _any,
    ),
    Variable("OTEL_TRACES_SAMPLER", "Which requests are traced; all, unless it is set.", *SAMPLERS),
    Variable("OTEL_TRACES_SAMPLER_ARG", "Their share, for `traceidratio`.", "a number from 0 to 1", _ratio),
    Variable("OTEL_BSP_MAX_QUEUE_SIZE", "Spans that may wait to be sent (2048); others are dropped.", *_number(1)),
    Variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "Spans that are sent together at most (512).", *_number(1)),
    Variable("OTEL_BSP_SCHEDULE_DELAY", "Milliseconds between two sendings (5000).", *_number(1)),
    Variable("OTEL_EXPORTER_OTLP_TIMEOUT", "Seconds until a sending is given up (10).", *_number(1)),
)


def disabled(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry is switched off for all programs of this environment."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def endpoint(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return where these variables have traces sent to, and which of them says so; None where they do not."""
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    if own := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", own
    if base := environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return "OTEL_EXPORTER_OTLP_ENDPOINT", base.rstrip("/") + TRACES_PATH
    return None


def problems(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each of these variables that cannot be followed, naming it; its value may be a secret."""
    for name, _, allowed, fits in VARIABLES:
        if (text := environ.get(name)) and not fits(text):
            yield f"{name}: its value is not allowed. Allowed: {allowed}."
