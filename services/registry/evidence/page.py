"""The page of an evidence pack that explains how it is checked: one file, which asks nothing of any network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import resources
from typing import Final

from events.log.checkpoints import Signed
from events.merkle.note import VerifierKey
from services.registry.evidence.contents import Contents
from services.registry.evidence.manifest import MISSING, PAGE, Document

MISSED: Final = (
    "<dd><strong>Missing: <code>{}</code></strong>, the document of <code>{}</code>. It was filed and not withdrawn; "
    "{}.</dd>\n"
)


def render(contents: Contents, signed: Signed, keys: Sequence[VerifierKey], documents: Sequence[Document]) -> str:
    """Write the page for one pack; the key in its commands is one of those that signed the checkpoint.

    It says which of the documents are missing, and why.
    """
    signers = [key for key in keys if any(one.is_of(key) for one in signed.signatures)]
    values = {
        "cooperation": contents.cooperation,
        "origin": signed.checkpoint.origin,
        "size": str(contents.size),
        "entries": str(len(contents.positions)),
        "key": signers[0].text if signers else "",
        "position": str(contents.positions[0]),
    }
    page = resources.files("services.registry.evidence").joinpath(PAGE).read_text("utf-8")
    for name, value in values.items():
        page = page.replace("{{" + name + "}}", html.escape(value, quote=False))
    told = "".join(MISSED.format(one.sha256, one.source, MISSING[one.missing]) for one in documents if one.missing)
    page = page.replace("{{missing}}", told)
    return page.replace("{{keys}}", "<br>".join(f"<code>{html.escape(key.text)}</code>" for key in keys))
