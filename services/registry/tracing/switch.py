"""Where tracing begins: nothing of OpenTelemetry is imported unless the settings name a collector."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from services.registry.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from services.registry.tracing.following import Following
    from services.registry.tracing.recording import Recording

API: Final = "registry-api"
PROJECTOR: Final = "registry-projector"
MISSING: Final = (
    "Traces are asked for (REGISTRY_TRACING_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT), but OpenTelemetry is not "
    "installed. Install cooperation-registry[tracing], or set OTEL_SDK_DISABLED=true."
)


def check(settings: Settings) -> None:
    """Raise `InvalidSettings` where traces are asked for and what makes them is not installed."""
    if settings.tracing_endpoint is not None and not _installed():
        raise InvalidSettings([MISSING])


def _installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


@asynccontextmanager
async def recording(settings: Settings) -> AsyncGenerator[Recording | None]:
    """Trace requests and commits meanwhile, where the settings name a collector."""
    if settings.tracing_endpoint is None:
        yield None
        return
    from services.registry.tracing.exporting import exporting
    from services.registry.tracing.recording import Recording

    async with exporting(settings.tracing_endpoint, API) as tracer:
        yield Recording(tracer)


@asynccontextmanager
async def following(settings: Settings) -> AsyncGenerator[Following | None]:
    """Trace a projector meanwhile, where the settings name a collector."""
    if settings.tracing_endpoint is None:
        yield None
        return
    from services.registry.tracing.exporting import exporting
    from services.registry.tracing.following import Following

    async with exporting(settings.tracing_endpoint, PROJECTOR) as tracer:
        made = Following(tracer)
        try:
            yield made
        finally:
            made.close()
