"""The commands of a witness of other logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from services.registry.cli.app_log import PROVE

witness = App(
    name="witness",
    help="Be a witness of other logs: cosign their checkpoints, each only once it has been shown to extend the last.",
    group=PROVE,
)


@witness.command
def init(folder: Annotated[Path, Parameter(name="DIR")], /, *, name: str) -> int:
    """Make a witness: its key and its state, in a folder. Prints the key that others verify with.

    The folder is all there is of it. A copy of it that was left behind must never be served: it would cosign what the
    witness would not.

    :param folder: The folder, which is made.
    :param name: The witness's name for ever, a URL without scheme that it has charge of: witness.example/w1.
    """
    from services.registry.cli.witness import init

    return init(folder, name)


@witness.command
def add(
    folder: Annotated[Path, Parameter(name="DIR")],
    key: Annotated[str, Parameter(name="KEY")],
    /,
    *,
    origin: str | None = None,
) -> int:
    """Witness a log from now on, or take another key of it. A witness that is being served need not be started again.

    :param folder: The witness's folder.
    :param key: The log's verifier key, such as a registry shows at /log/keys.
    :param origin: The log's name in its checkpoints, where it is another than its key's.
    """
    from services.registry.cli.witness import add

    return add(folder, key, origin)


@witness.command
def remove(
    folder: Annotated[Path, Parameter(name="DIR")],
    key: Annotated[str, Parameter(name="KEY")],
    /,
    *,
    origin: str | None = None,
) -> int:
    """Trust a log's key no more. What was cosigned of the log stays known, for when it is witnessed again.

    :param folder: The witness's folder.
    :param key: The log's verifier key, as `registry witness list` shows it.
    :param origin: The log's name in its checkpoints, where it is another than its key's.
    """
    from services.registry.cli.witness import remove

    return remove(folder, key, origin)


@witness.command(name="list")
def list_(folder: Annotated[Path, Parameter(name="DIR")], /) -> int:
    """List the logs that are witnessed, and how far each was cosigned.

    Exits with 1 if one of them signed two histories.

    :param folder: The witness's folder.
    """
    from services.registry.cli.witness import list_all

    return list_all(folder)


@witness.command
def serve(
    folder: Annotated[Path, Parameter(name="DIR")],
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = 8001,
) -> int:
    """Cosign checkpoints over HTTP (C2SP tlog-witness), until SIGTERM or Ctrl-C.

    What is cosigned is on the disk before it is answered. Put a proxy in front that terminates TLS.

    :param folder: The witness's folder.
    :param host: The address to listen on.
    :param port: The port to listen on.
    """
    from services.registry.cli.witness import serve

    return serve(folder, host, port)
