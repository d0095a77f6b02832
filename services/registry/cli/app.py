"""The command line: every command with its options. What a command does is in the module that it imports, when it runs.

Exit codes: 0 done, 1 refused or failed, 2 used or set up wrongly, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter
from cyclopts.exceptions import CycloptsError
from cyclopts.validators import Number

from services.registry.access.actions import Action
from services.registry.access.roles import Role
from services.registry.cli import app_log, app_witness, failures, moments


def _version() -> str:
    from services.registry.version import VERSION

    return f"registry {VERSION}"


app = App(
    name="registry",
    help="The Cooperation Registry: the system of record for a government's international cooperation.",
    help_epilogue="Settings are `REGISTRY_*` environment variables: see `registry settings`.\n\n"
    "Exit codes: 0 done, 1 refused or failed, 2 used or set up wrongly.",
    help_format="markdown",
    version=_version,
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
)
TRY = Group("On one machine", sort_key=1)
RUN = Group("Over a PostgreSQL of your own", sort_key=2)
USE = Group("For both", sort_key=4)
app["--help"].group = app["--version"].group = Group("Help", sort_key=5)

token = App(name="token", help="Make, list and revoke the bearer tokens that clients present.", group=USE)
app.command(token)
app.command(app_log.key)
app.command(app_log.master_key)
app.command(app_log.log)
app.command(app_witness.witness)
app.command(app_log.verify, group=app_log.PROVE)

access = App(name="access", help="See who looked: what was read, exported and done with tokens and keys.", group=USE)
app.command(access)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. What goes wrong is told on standard error, in words."""
    try:
        code: int | None = app(arguments)
        sys.stdout.flush()
    except CycloptsError as error:
        sys.stderr.write(f"registry: {error}\n")
        return failures.WRONGLY
    except Exception as error:  # noqa: BLE001 - nobody is above who could do better
        return failures.FAILED if failures.unread(error) else failures.told(error)
    return code or 0


@app.command(group=TRY)
def up(
    *,
    data: Path = Path("data"),
    host: str | None = None,
    port: Annotated[int | None, Parameter(validator=Number(gte=1, lte=65535))] = None,
    sample: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Run the whole registry in one process, with a PostgreSQL of its own.

    Prints where it is and a `curl` that works, as soon as it is ready. Ctrl-C or SIGTERM stops it in order: requests
    are finished, for 20 seconds at the most, and what waits is recorded. Started again it goes on with the same data.

    The settings of `registry serve` hold, except for those of the database, which are its own.

    :param data: The folder of its data, made if need be: PostgreSQL, the master key, and `token`, which has every
        role. Remove it to begin anew.
    :param host: The address to listen on; `REGISTRY_HOST`, else 127.0.0.1.
    :param port: The port to listen on; `REGISTRY_PORT`, else 8000.
    :param sample: Record a story to look at, if nothing else is recorded yet: a ministry's meetings at the Paris Air
        Show 2019.
    """
    from services.registry.cli.up import up

    return up(data, host=host, port=port, sample=sample)


@app.command(group=RUN)
def serve() -> int:
    """Serve the HTTP API. Any number may run; the database has to be migrated.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_MASTER_KEY_FILE`. On Ctrl-C or SIGTERM it takes no new
    requests, finishes those under way and ends. After 20 seconds it cuts short what is left: bodies that have not come,
    and answers that nobody reads.
    """
    from services.registry.cli.serve import serve

    return serve()


@app.command(group=RUN)
def project() -> int:
    """Keep the read models up with the log, until SIGTERM. One of a version is active at a time; others stand by.

    Needs `REGISTRY_PROJECTOR_DATABASE_URL`; the database has to be migrated.
    """
    from services.registry.cli.project import project

    return project()


@app.command(group=RUN)
def migrate(*, check: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> int:
    """Bring the database to the form that this version needs.

    Needs `REGISTRY_OWNER_DATABASE_URL`. Nothing is done to a database that is in that form already.

    :param check: Change nothing; exit with 1 if something would be done.
    """
    from services.registry.cli.migrate import migrate

    return migrate(check=check)


@app.command(group=USE)
def rebuild(
    model: str | None = None,
    /,
    *,
    check: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    accept_difference: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    if_changed: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    processes: Annotated[int | None, Parameter(validator=Number(gte=1, lte=64))] = None,
) -> int:
    """Build the read models anew from the log beside the live ones, compare the two, and switch to the new ones.

    Clients go on reading and recording, and notice nothing. If the program is the one that built the live ones, they
    are replaced only by the same: otherwise every read model and row that differs is named, and nothing is switched.
    If the live ones are of another version, the new ones stand beside them, for readers of their own version, and take
    their place once nothing of the other version runs any more. Whatever is interrupted leaves nothing behind.

    Needs `REGISTRY_PROJECTOR_DATABASE_URL`. Exits with 1 if something differs.

    :param model: The one read model to rebuild, such as `meetings`; without it, all of them.
    :param check: Compare only, and switch nothing: an altered row is found and named.
    :param accept_difference: Switch even so: when you know why the live ones differ, and that they are wrong.
    :param if_changed: Only if there are none of this version of the program, as in an upgrade.
    :param processes: How many build at once, each with a connection and up to 200 MB of memory; without it, one a
        processor, and one alone for a short log.
    """
    from services.registry.cli.rebuild import rebuild

    return rebuild(model, check=check, accept=accept_difference, if_changed=if_changed, processes=processes)


@app.command(group=USE)
def replay(
    *,
    to: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    subject: str | None = None,
    into: str | None = None,
) -> int:
    """Tell the log's history as a person reads it, from the first entry on, or replay it into another database.

    An entry is told in a line or two: its position, when it was recorded, what happened to what, who recorded it, and
    the particulars, with the names that things had then. People are told by their ids: their names are sealed.

    With `--into`, the entries are copied byte for byte into a PostgreSQL database that is empty, and the read models
    are built from them there. `registry digest` at the same size gives the same there as here. Keys are not copied:
    personal data and documents cannot be read in the copy. An interrupted replay is gone on with by starting it again.

    Needs `REGISTRY_DATABASE_URL`. It is recorded who replays (`registry access list`).

    :param to: The size of the log to replay to; all of it, if not given.
    :param subject: The one stream to tell, such as `cooperation/coop_…`.
    :param into: The URL of the database to replay into, as its administrator: a superuser, or a member of the roles
        `registry_owner` and `registry_projector`.
    """
    from services.registry.cli.replay import replay

    return replay(to, subject, into)


@app.command(group=USE)
def digest(*, size: Annotated[int | None, Parameter(validator=Number(gte=0))] = None) -> int:
    """Print what each read model shows at a size of the log, as one SHA-256.

    Whoever replays the same entries, anywhere, gets the same: see `registry replay --into`. Personal data enters it
    sealed, so that erasing somebody changes none. How it is computed is in docs/digest.md.

    Needs `REGISTRY_DATABASE_URL`.

    :param size: The size of the log; as far as the read models have come, if not given.
    """
    from services.registry.cli.digest import digest

    return digest(size)


@app.command(group=RUN)
def provision() -> int:
    """Make the database, its roles, and a login for each process, as an administrator; `migrate` comes next.

    Needs `REGISTRY_ADMIN_DATABASE_URL`, and `REGISTRY_OWNER_DATABASE_URL` (user registry_migrate),
    `REGISTRY_DATABASE_URL` (registry_serve), `REGISTRY_PROJECTOR_DATABASE_URL` (registry_project) and, if reports are
    made from the database, `REGISTRY_READER_DATABASE_URL` (registry_report): the database that they name is made, and
    the logins get the passwords in them. `REGISTRY_BACKUP_DATABASE_URL` (registry_backup, and another database) makes a
    login that may replicate the cluster, for base backups. Run again it gives them the passwords as they are then, and
    does no harm.
    """
    from services.registry.cli.provision import provision

    return provision()


@app.command(group=USE)
def sample() -> int:
    """Record a story to look at, into an empty log: a ministry's meetings at the Paris Air Show 2019.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_MASTER_KEY_FILE`.
    """
    from services.registry.cli.sample import sample

    return sample()


@app.command(name="import", group=USE)
def import_(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    actor: Annotated[str, Parameter(name="--as")] = "import",
) -> int:
    """Record the commands in a file of one JSON object a line.

    A line is a command, `{"command": "register-party", "data": {…}}`, with a `"subject": "cooperation/coop_…"` where
    it is about something that exists, or several that are recorded together: `{"commands": […]}`.

    A line is recorded once, however often the file is imported: under its `"key"` or, without one, as what it says
    (the same line twice in one file is recorded twice). So an import that stopped is resumed by starting it again.
    It stops at the first line that is refused, since what follows may rest on it.

    Needs `REGISTRY_DATABASE_URL` and `REGISTRY_MASTER_KEY_FILE`.

    :param file: The file, or - for standard input.
    :param actor: The name of the client that the entries say recorded them. To resume, give the same.
    """
    from services.registry.cli.importing import import_file

    return import_file(file, actor)


@app.command(group=USE)
def settings() -> int:
    """Show every setting, what it is set to, and what is allowed. Secrets are not shown.

    Exits with 2, naming every setting that is wrong, if one is.
    """
    from services.registry.cli.settings import show

    return show()


@app.command(group=USE)
def doctor(
    *,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    strict: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Check the installation, and say what to do about what is wrong.

    Looks at the configuration, grants, clock, keys, disk, replication, backup, projector and checkpoints.

    Run it where `registry serve` runs, with the same settings: it looks as the service does, and changes nothing. What
    only a monitor of the database sees is skipped, saying what to grant; `REGISTRY_OWNER_DATABASE_URL` is used for it
    where it is set.

    Exits with 0 if nothing failed, 1 if something did, 2 if the settings are wrong. What was skipped does not count.

    :param json: Print one JSON object: `verdict`, and `findings` with `area`, `name`, `verdict`, `found` and `advice`.
    :param strict: Exit with 1 for warnings too.
    """
    from services.registry.cli.doctor import doctor

    return doctor(json=json, strict=strict)


@token.command
def create(
    name: str,
    /,
    *,
    role: Annotated[list[Role], Parameter(negative="")],
    party: str | None = None,
    expires: Annotated[str | None, Parameter(converter=moments.converter)] = None,
) -> int:
    """Make a token and print it, this once. Needs `REGISTRY_DATABASE_URL`.

    :param name: Whose it is: entries name who recorded them so.
    :param role: What it may do; give the option once for each.
    :param party: The id of the party on whose behalf its owner records, which is registered already; of one that was
        merged, its survivor's is taken.
    :param expires: Until when it holds: an instant such as 2027-01-31T12:00Z, or a day, of which it is the beginning
        (UTC).
    """
    from services.registry.cli.tokens import create

    return create(name, role, party=party, expires=expires)


@token.command(name="list")
def list_() -> int:
    """List all tokens there ever were, without what makes them tokens. Needs `REGISTRY_DATABASE_URL`."""
    from services.registry.cli.tokens import list_all

    return list_all()


@token.command
def revoke(token_id: Annotated[str, Parameter(name="ID")], /) -> int:
    """Make a token worthless at once. Needs `REGISTRY_DATABASE_URL`.

    :param token_id: The token's id, token_…, as `registry token list` shows it.
    """
    from services.registry.cli.tokens import revoke

    return revoke(token_id)


@access.command(name="list")
def list_access(
    *,
    who: str | None = None,
    what: Action | None = None,
    since: Annotated[str | None, Parameter(converter=moments.converter)] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
) -> int:
    """List the access record, the newest first. Needs `REGISTRY_DATABASE_URL`.

    :param who: Only what was done with the tokens of this name or the token of this id, or by this user@host.
    :param what: Only this.
    :param since: From an instant on, such as 2027-01-31T12:00Z, or a day, of which it is the beginning (UTC).
    :param limit: How many rows, at most.
    """
    from services.registry.cli.access import list_all

    return list_all(who=who, what=what, since=since, limit=limit)


if __name__ == "__main__":
    sys.exit(main())
