"""The commands about the log as a thing that proves itself: its keys, its name."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

PROVE = Group("What proves the log", sort_key=3)

key = App(name="key", help="Make, list and replace the keys that the log's checkpoints are signed with.", group=PROVE)
log = App(name="log", help="The log as a whole.", group=PROVE)


@key.command
def create(*, once: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> int:
    """Make the log's first key, publish it at /log/keys, and print what others verify with.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`, the folder that the private key goes to. `registry serve`
    with the same folder signs checkpoints from then on.

    :param once: Where there is a key already, print that one and change nothing: for scripts.
    """
    from services.registry.cli.keys import create

    return create(once=once)


@key.command
def rotate(*, drop: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> int:
    """Replace the current key. What the old one signed stays verifiable; it stays published.

    The old key goes on signing beside the new one, so that those who know only the old one can go on until they know
    the new. Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`.

    :param drop: Remove the older private keys at once, as when one may have been seen by others.
    """
    from services.registry.cli.keys import rotate

    return rotate(drop=drop)


@key.command(name="list")
def list_() -> int:
    """List the keys that are published, and which of them sign.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`.
    """
    from services.registry.cli.keys import list_all

    return list_all()


@log.command
def adopt(origin: str, /, *, reason: str) -> int:
    """Sign under another name from now on: the way out when signing has stopped.

    Signing stops when the log is not what its checkpoints vouch for, as after an old backup was restored. What is
    missing had better be brought back. Where it cannot be, the log as it is now gets a name of its own, with a key of
    its own; the name before, its last checkpoint and the reason are kept and published at /log/origins. Whoever
    verified the log before has to be told.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`.

    :param origin: The new name, such as registry.example/log-2.
    :param reason: Why, for those who ask.
    """
    from services.registry.cli.adopting import adopt

    return adopt(origin, reason)
