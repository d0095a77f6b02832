"""The commands about the log as a thing that proves itself: its keys, its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

PROVE = Group("What proves the log", sort_key=3)

key = App(name="key", help="Make, list and replace the keys that the log's checkpoints are signed with.", group=PROVE)
master_key = App(name="master-key", help="Replace the key that wraps the keys of people and documents.", group=PROVE)
log = App(name="log", help="The log as a whole.", group=PROVE)


def verify(
    what: str | None = None,
    /,
    *,
    key: Annotated[list[str] | None, Parameter(negative="")] = None,
    against: Path | None = None,
    state: Path | None = None,
    token_file: Path | None = None,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Verify a log: every entry, leaf, tile, proof, checkpoint, and the order of it all. Says what is wrong, and where.

    It needs nothing of the registry but what is to be verified, and changes nothing. Without an argument it verifies
    the database (`REGISTRY_DATABASE_URL`), where the columns beside the entries, the head, claims, and all checkpoints
    that were ever signed are held against the entries too. With the master key (`REGISTRY_MASTER_KEY_FILE`) it opens
    every key in the vault and every document that there is a key of, which it holds, and the columns beside it, against
    its hash and its content. With the folder of the signing keys (`REGISTRY_KEY_DIR`) the log is held against the
    checkpoint that is remembered there, unless the database is a standby, which may be behind it.

    Exits with 0 if everything is in order, 1 if something is wrong, 2 if it cannot be verified.

    :param what: The address of a running service, the folder of an export, or the file of an evidence pack. Of a
        service entries are read: set `REGISTRY_TOKEN`, or use `--token-file`, to a token with the role auditor.
    :param key: A verifier key (`registry key list`) that you have from elsewhere, and that the checkpoint has to be
        signed by; give the option once for each. Without one, the keys are those that the log publishes, and what is
        shown is that it agrees with itself.
    :param against: A checkpoint that was kept, as /log/checkpoint served it (or the file `signed` in the folder of the
        signing keys): that the log of today has grown out of that one. Rewriting, truncation and roll-back are named.
    :param state: A folder to go on from the next time, also after an interruption. Entries that were verified are not
        read again; that they are the same is shown by the tree. It takes some 40 bytes an entry.
    :param token_file: A file with the token, in place of `REGISTRY_TOKEN`.
    :param json: Print one JSON object.
    """
    from services.registry.cli.verify import run

    return run(what, keys=key or (), against=against, state=state, token_file=token_file, json=json)


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


@master_key.command(name="rotate")
def rotate_master_key(
    newfile: Path,
    /,
    *,
    leave_damaged: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    while_served: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Wrap the keys of people and documents by another master key. What they seal, and the log, stay as they are.

    All is changed, or nothing. Stop `registry serve` before, and start it with the new file afterwards: the old one is
    refused from then on. An import whose lines have no `key` of their own is to be completed before: the new master key
    gives the lines other ones, so that they would be recorded again. Keep the old file for as long as backups from
    before are kept.

    Needs `REGISTRY_OWNER_DATABASE_URL`, and in `REGISTRY_MASTER_KEY_FILE` the present master key. It is recorded who
    did it (`registry access list`).

    :param newfile: The file of the new master key. It is made, for its owner alone to read, and never written over:
        one that is there has to hold a master key, as when the command is repeated after an interruption.
    :param leave_damaged: Leave keys that cannot be opened as they are, and name them; without it nothing is changed if
        there are any.
    :param while_served: Do it while processes are connected as the service. Until they are started with the new file
        they answer with errors, and a person whose name is being corrected at that moment may not be found by it until
        the master key is replaced again.
    """
    from services.registry.cli.master_key import rotate

    return rotate(newfile, leave_damaged=leave_damaged, while_served=while_served)


@log.command
def witnesses() -> int:
    """Ask every witness to cosign the last checkpoint, and say what each answers.

    Exits with 1 if one has seen another history of the log than this one, or if too few cosign for a checkpoint to be
    published. Needs `REGISTRY_DATABASE_URL` and `REGISTRY_WITNESS_FILE`.
    """
    from services.registry.cli.witnesses import ask_all

    return ask_all()


@log.command
def adopt(origin: str, /, *, reason: str) -> int:
    """Sign under another name from now on: the way out when signing has stopped.

    Signing stops when the log is not what its checkpoints vouch for, as after an old backup was restored. What is
    missing had better be brought back. Where it cannot be, the log as it is now gets a name of its own, with a key of
    its own. That it took the place of the name before, when, at which size and why, is signed with the keys of both
    names, kept here and in the key ring, and published at /log/origins. Whoever verified the log before has to be told.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`.

    :param origin: The new name, such as registry.example/log-2.
    :param reason: Why, for those who ask: one line, which is signed and cannot be changed.
    """
    from services.registry.cli.adopting import adopt

    return adopt(origin, reason)


@log.command
def erasures() -> int:
    """Destroy again what was erased or withdrawn and came back with a restored backup; say whose keys those were.

    The key ring remembers whose keys were destroyed. `registry serve` does the same before it serves anything; after
    that the log does not say of those who were erased later than the backup that they were: erase them again.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_KEY_DIR`.
    """
    from services.registry.cli.erasures import again

    return again()


@log.command
def export(folder: Path, /) -> int:
    """Write the log as static files (C2SP tlog-tiles), for any web server, object store or CDN to serve.

    The files have the paths that they have below /log/ over HTTP: checkpoint, keys, origins, tiles, and the bundles of
    entries, all of the published checkpoint. The folder can be served at every moment: the checkpoint is written last.
    An export that was interrupted is completed by running it again, and a later one adds what the log has gained; what
    is there and right is not written again.

    It holds every entry, whatever its classification: serve `tile/entries` to those only who may read them all. Names
    of people are in it as they are in the log, sealed. Documents, and the keys of what is sealed, are not.

    Needs `REGISTRY_DATABASE_URL`. It is recorded who exported (`registry access list`).

    :param folder: The folder, made if need be. One that holds another log, or something else, is refused.
    """
    from services.registry.cli.archiving import export

    return export(folder)


@log.command(name="import")
def import_(folder: Path, /, *, key: Annotated[list[str] | None, Parameter(negative="")] = None) -> int:
    """Take an export over into an empty, migrated database: the same entries, the same root.

    Everything is verified before it is recorded: the checkpoint's signature, the tiles down from its root, each entry.
    The log's keys and the checkpoint are taken over too, so that checkpoints which others kept go on verifying. An
    import that was interrupted is completed by running it again; a database with other entries is refused.

    What is sealed stays sealed: the vault's keys and the documents are no part of an export. Names of people can be
    read again only when the vault is restored from its own backup, together with the master key.

    To sign checkpoints again, `registry serve` needs the log's key folder and its name (`REGISTRY_ORIGIN`). The read
    models are built by `registry project`. Needs `REGISTRY_DATABASE_URL`.

    :param folder: The folder with the export.
    :param key: A key that you know to be the log's, as `registry key list` shows it there, or a witness's: one of those
        given has to have signed the checkpoint. Give the option once for each. Without it the export's own keys are
        believed, with a warning.
    """
    from services.registry.cli.archiving import import_

    return import_(folder, key or [])
