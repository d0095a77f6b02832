"""Every setting of the service: its variable, meaning, default and what is allowed.

Settings come from `REGISTRY_*` environment variables and from nowhere else, but that OpenTelemetry's own may say where
traces go (`tracing.standard`). They are read once, at the start, and checked all at once: a wrong value, a missing one
and a name that does not exist each stop the start. `REGISTRY_TEST_*` belongs to the tests and is left alone.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from services.registry import connection_uri
from services.registry.access.addresses import Networks
from services.registry.tracing import standard

PREFIX: Final = "REGISTRY_"
TEST_PREFIX: Final = "REGISTRY_TEST_"
MAX_SECRET_BYTES: Final = 64 * 1024


class InvalidSettings(ValueError):
    """The environment does not describe a service that could start.

    `problems` has a line for each variable, naming it and saying what is allowed. No secret's value is in it.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Rule(msgspec.Struct, frozen=True):
    """What may stand in a setting: in words, and as the function that reads it (`ValueError` when it may not)."""

    allowed: str
    read: Callable[[str], Any]


class Setting(msgspec.Struct, frozen=True):
    """What an operator needs to know of a field of `Settings`.

    A secret may also be given as the path of a file that holds it, in the variable with `_FILE` behind its name;
    its value is never shown. Where the variable is not set, `also` may find another that sets it: its name and text.
    """

    description: str
    rule: Rule
    secret: bool = False
    also: Callable[[Mapping[str, str]], tuple[str, str] | None] = lambda _environ: None


class Row(msgspec.Struct, frozen=True):
    """One line of the settings table: what `registry settings` prints and docs/settings.md holds."""

    variable: str
    description: str
    default: str
    allowed: str
    secret: bool


def _integer(least: int, most: int) -> Rule:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return Rule(f"a whole number from {least} to {most}", read)


def _seconds(least: float, most: float) -> Rule:
    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not least <= float(text) <= most:
            raise ValueError
        return float(text)

    return Rule(f"seconds from {least:g} to {most:g}", read)


def _one_of(*values: str) -> Rule:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Rule("one of " + ", ".join(values), read)


def _matching(pattern: str, allowed: str) -> Rule:
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return Rule(allowed, read)


_DSN = Rule("a PostgreSQL connection URI, postgresql://user@host:port/database", connection_uri.read)
_TRACES = _matching(
    r"https?://[^\s/?#@]+(/[^\s?#]*)?",
    "an http or https URL without a user, such as http://collector:4318/v1/traces",
)
_PATH = Rule("a path", Path)
_HOST = _matching(r"[A-Za-z0-9._:-]+", "an IP address or a host name")
_NETWORKS = Rule("IP addresses and networks, separated by commas, such as 10.0.0.7, 192.168.0.0/16", Networks.parse)
# C2SP tlog-checkpoint wants a scheme-less URL prefix without a slash at its end, signed-note no spaces and no plus.
ORIGIN: Final = _matching(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*",
    "a host name and a path, without scheme, spaces, plus signs or a slash at the end, such as registry.example/log",
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A checked set of settings; a connection URI that was not set is the empty text (see `load`)."""

    database_url: Annotated[
        str,
        Setting(
            "The database, as the service's role. All but `up`, `project`, `rebuild` and `migrate` need it. Like the "
            "others it may name several servers, host:port,host:port, and the one that is meant: "
            "target_session_attrs=read-write.",
            _DSN,
            secret=True,
        ),
    ] = ""
    read_database_url: Annotated[
        str,
        Setting(
            "The database as read models are read, as the service's role: of a standby, best with "
            "target_session_attrs=prefer-standby and all servers in it. Not set, they are read where is written.",
            _DSN,
            secret=True,
        ),
    ] = ""
    owner_database_url: Annotated[
        str,
        Setting(
            "The database, as its owner. `migrate` and `master-key` need it; `doctor` sees through it what only a "
            "monitor may, where the service is none.",
            _DSN,
            secret=True,
        ),
    ] = ""
    projector_database_url: Annotated[
        str, Setting("The database, as the projector's role. `project` and `rebuild` need it.", _DSN, secret=True)
    ] = ""
    admin_database_url: Annotated[
        str,
        Setting(
            "The database's server, as an administrator. `provision` needs it, and nothing that keeps running.",
            _DSN,
            secret=True,
        ),
    ] = ""
    reader_database_url: Annotated[
        str,
        Setting(
            "The database, as the role for reporting. `provision` makes its login where it is set.", _DSN, secret=True
        ),
    ] = ""
    backup_database_url: Annotated[
        str,
        Setting(
            "Where backups connect: a database other than the registry's. `provision` makes its login where it is set.",
            _DSN,
            secret=True,
        ),
    ] = ""
    backup_status_file: Annotated[
        Path | None,
        Setting(
            "The file in which whoever takes base backups tells of the newest, for `doctor` and the metrics "
            "(see docs/operations.md).",
            _PATH,
        ),
    ] = None
    master_key_file: Annotated[
        Path | None,
        Setting(
            "The file with the master key, which wraps the keys of people and documents. `serve`, `import` and "
            "`master-key` need it.",
            _PATH,
        ),
    ] = None
    origin: Annotated[
        str,
        Setting(
            "The log's name for ever: entries, checkpoints and proofs bear it (C2SP tlog-checkpoint). Best where the "
            "service's `/log` is read: the schemas that entries name are there.",
            ORIGIN,
        ),
    ] = "registry.localhost/log"
    key_dir: Annotated[
        Path | None,
        Setting(
            "The folder with the log's signing keys, kept apart from the database and its backups. `serve` signs "
            "checkpoints where it is set; `registry key` needs it.",
            _PATH,
        ),
    ] = None
    checkpoint_seconds: Annotated[
        float, Setting("How often there may be a new checkpoint, where the log grows.", _seconds(0.05, 3600))
    ] = 1.0
    witness_file: Annotated[
        Path | None,
        Setting(
            "The file that names the witnesses which are asked to cosign checkpoints, and how many of them have to "
            "before one is published (see docs/witnesses.md).",
            _PATH,
        ),
    ] = None
    token: Annotated[
        str,
        Setting(
            "The bearer token that `verify` presents to the service that it verifies.",
            _matching(r"[!-~]+", "a token"),
            secret=True,
        ),
    ] = ""
    host: Annotated[str, Setting("The address that is listened on.", _HOST)] = "127.0.0.1"
    port: Annotated[int, Setting("The port that is listened on.", _integer(1, 65535))] = 8000
    metrics_host: Annotated[
        str,
        Setting("The address that metrics are listened for on, where REGISTRY_METRICS_PORT is set.", _HOST),
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int | None,
        Setting(
            "The port on which `serve`, `project` and `up` show metrics to anybody who can reach it; not set, none do. "
            "`serve` and `up` show them at /metrics of the API too, to operators.",
            _integer(1, 65535),
        ),
    ] = None
    tracing_endpoint: Annotated[
        str | None,
        Setting(
            "Where `serve`, `project` and `up` send traces, by OTLP over HTTP; not set, there are none. It needs the "
            "extra `tracing`. OpenTelemetry's own variables, below, hold as well.",
            _TRACES,
            also=standard.endpoint,
        ),
    ] = None
    trusted_proxies: Annotated[
        Networks,
        Setting(
            "Proxies whose X-Forwarded-For is believed, for the access record; without any, the peer's address counts.",
            _NETWORKS,
        ),
    ] = Networks()
    pool_size: Annotated[
        int,
        Setting(
            "Database connections that reads share; recording and single things take nine more.", _integer(2, 1000)
        ),
    ] = 10
    queue_limit: Annotated[
        int, Setting("Commands that may wait to be recorded; beyond it clients get 503.", _integer(1, 1_000_000))
    ] = 10_000
    command_timeout: Annotated[
        float, Setting("How long a client is kept waiting for its command to be recorded.", _seconds(0.1, 3600))
    ] = 10.0
    min_size_wait: Annotated[
        float, Setting("How long a read waits for the size asked for in Registry-Min-Size.", _seconds(0, 60))
    ] = 5.0
    drain_seconds: Annotated[
        float,
        Setting(
            "How long `serve` goes on after SIGTERM, not ready but serving, so that proxies send nobody to it any more "
            "before it finishes its requests and ends.",
            _seconds(0, 3600),
        ),
    ] = 0.0
    head_timeout: Annotated[
        float,
        Setting(
            "How long a request's head may take to come, and a connection may wait for its next; then it is closed.",
            _seconds(1, 3600),
        ),
    ] = 30.0
    body_timeout: Annotated[
        float,
        Setting("How long a request's body may take to come, in all; beyond it clients get 408.", _seconds(1, 3600)),
    ] = 300.0
    max_body: Annotated[int, Setting("Bytes of a request's body, at most.", _integer(1024, 1024**3))] = 1024**2
    max_document: Annotated[int, Setting("Bytes of a document, at most.", _integer(1024, 1024**3))] = 50 * 1024**2
    postgres_bin: Annotated[
        Path | None,
        Setting("The folder of the PostgreSQL programs that `up` runs, in place of those it finds.", _PATH),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting("The least grave lines that are written.", _one_of("debug", "info", "warning", "error")),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        Setting("How lines are written: for programs, or for a person at a terminal.", _one_of("json", "console")),
    ] = "json"

    def __repr__(self) -> str:
        """Show no secret, as a traceback or a log line may show this."""
        shown = (f"{field}={'…' if setting.secret else repr(getattr(self, field))}" for field, setting in _settings())
        return f"Settings({', '.join(shown)})"


def _settings() -> Iterator[tuple[str, Setting]]:
    """Yield each field's name and its `Setting`, in the order of the struct."""
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items():
        yield name, next(mark for mark in typing.get_args(hint) if isinstance(mark, Setting))


def variable(field: str) -> str:
    """Return the variable that sets a field: `REGISTRY_PORT` for `port`."""
    return PREFIX + field.upper()


def load(environ: Mapping[str, str], *, needed: Iterable[str] = ()) -> Settings:
    """Read the settings from an environment; the fields in `needed` have to be set in it.

    Raises `InvalidSettings` with every problem there is.
    """
    known = dict(_settings())
    required = frozenset(needed)
    problems: list[str] = []
    given: dict[str, Any] = {}
    for field, setting in known.items():
        name, allowed = variable(field), setting.rule.allowed
        text = None
        try:
            text = _text(environ, field, setting)
            if text is None and (found := setting.also(environ)) is not None:
                name, text = found
            if text is not None:
                given[field] = setting.rule.read(text)
            elif field in required:
                problems.append(f"{name} is not set. Allowed: {allowed}.")
        except InvalidSettings as refused:
            problems += refused.problems
        except ValueError as refused:
            hidden = setting.secret or (text is not None and "@" in text)  # as of a user with a password
            shown = "its value" if hidden else repr(text)
            why = f": {refused}" if isinstance(refused, connection_uri.Refused) else ""
            problems.append(f"{name}: {shown} is not allowed{why}. Allowed: {allowed}.")
    if standard.disabled(environ):
        given.pop("tracing_endpoint", None)
    if "tracing_endpoint" in given:
        problems += standard.problems(environ)
    problems += _unknown(environ, known)
    if problems:
        raise InvalidSettings(problems)
    return Settings(**given)


def _text(environ: Mapping[str, str], field: str, setting: Setting) -> str | None:
    """Return what was set, from the variable or, for a secret, from the file that its `_FILE` variable names."""
    name = variable(field)
    if not setting.secret or f"{name}_FILE" not in environ:
        return environ.get(name)
    if name in environ:
        raise InvalidSettings([f"{name} and {name}_FILE are both set. Allowed: one of them."])
    try:
        with Path(environ[f"{name}_FILE"]).open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidSettings([f"{name}_FILE: the file cannot be read: {why}."]) from None


def _unknown(environ: Mapping[str, str], known: Mapping[str, Setting]) -> Iterator[str]:
    """Name each variable with the prefix that sets nothing, and the one that was probably meant."""
    names = {variable(field) for field in known}
    names |= {f"{variable(field)}_FILE" for field, setting in known.items() if setting.secret}
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in names:
            near = difflib.get_close_matches(name, sorted(names), n=1)
            meant = f" Was {near[0]} meant?" if near else ""
            yield f"{name} is not a setting.{meant} Allowed: the names that `registry settings` shows."


def documentation() -> Iterator[Row]:
    """Yield a row for each setting, in the order of the struct."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    for field, setting in _settings():
        default = defaults[field]
        yield Row(
            variable=variable(field),
            description=setting.description,
            default="" if default is None else str(default),
            allowed=setting.rule.allowed,
            secret=setting.secret,
        )
