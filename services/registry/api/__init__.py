"""The HTTP contract (5-http.md): commands in, read models and the log out."""

from services.registry.api import commands, documents, health, log, openapi, reads

HANDLERS = [
    *commands.HANDLERS,
    *documents.HANDLERS,
    *reads.HANDLERS,
    *log.HANDLERS,
    *health.HANDLERS,
    *openapi.HANDLERS,
]

__all__ = ["HANDLERS"]
