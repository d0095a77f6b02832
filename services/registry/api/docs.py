"""The OpenAPI document served, and the pages that show it without any network."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
from litestar import MediaType, Response, get

from events.errors import NotFound
from services.registry.access.roles import OPEN
from services.registry.api.openapi import document
from services.registry.api.query import Asking

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Cooperation Registry</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="docs"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""
START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true, validatorUrl: null
});
"""
ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@get("/openapi.json", opt=OPEN, name="openapi", sync_to_thread=False)
def openapi() -> Response[bytes]:
    """Serve the document."""
    return Response(msgspec.json.encode(document()), media_type=MediaType.JSON)


@get("/docs", opt=OPEN, name="docs", sync_to_thread=False)
def docs() -> Response[str]:
    """Serve the page that shows the document; everything that it loads comes from here."""
    return Response(PAGE, media_type=MediaType.HTML, headers={"Content-Security-Policy": POLICY})


@get("/docs/start.js", opt=OPEN, name="docs-start", sync_to_thread=False)
def start() -> Response[str]:
    """Serve what starts the page."""
    return Response(START, media_type="text/javascript")


@get("/docs/assets/{name:str}", opt=OPEN, name="docs-assets", sync_to_thread=False)
def asset(request: Asking) -> Response[bytes]:
    """Serve one of the files that the page loads, and no other."""
    name: str = request.path_params["name"]
    if name not in ASSETS:
        raise NotFound("Nothing is served at this address. See /docs.")
    return Response(_asset(name), media_type=ASSETS[name], headers={"Cache-Control": "max-age=3600"})


@cache
def _asset(name: str) -> bytes:
    vendor = files("swagger_ui_bundle").joinpath("vendor")
    folder = next(one for one in vendor.iterdir() if one.name.startswith("swagger-ui-5"))
    return folder.joinpath(name).read_bytes()


HANDLERS = [openapi, docs, start, asset]
