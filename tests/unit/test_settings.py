from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.registry import settings
from services.registry.tracing import switch


def refusal(environ: dict[str, str], needed: tuple[str, ...] = ()) -> tuple[str, ...]:
    with pytest.raises(settings.InvalidSettings) as refused:
        settings.load(environ, needed=needed)
    return refused.value.problems


def test_an_empty_environment_gives_the_defaults():
    assert settings.load({}) == settings.Settings()


def test_what_is_set_is_read_with_its_type():
    read = settings.load(
        {"REGISTRY_PORT": "9000", "REGISTRY_MIN_SIZE_WAIT": "0.5", "REGISTRY_MASTER_KEY_FILE": "/run/secrets/key"}
    )
    assert (read.port, read.min_size_wait, read.master_key_file) == (9000, 0.5, Path("/run/secrets/key"))


def test_every_problem_is_told_at_once_with_its_name_and_what_is_allowed():
    assert refusal(
        {"REGISTRY_PORT": "many", "REGISTRY_LOG_LEVEL": "loud", "REGISTRY_PRT": "1"}, needed=("database_url",)
    ) == (
        "REGISTRY_DATABASE_URL is not set. Allowed: a PostgreSQL connection URI, postgresql://user@host:port/database.",
        "REGISTRY_PORT: 'many' is not allowed. Allowed: a whole number from 1 to 65535.",
        "REGISTRY_LOG_LEVEL: 'loud' is not allowed. Allowed: one of debug, info, warning, error.",
        "REGISTRY_PRT is not a setting. Was REGISTRY_PORT meant? Allowed: the names that `registry settings` shows.",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGISTRY_PORT", "0"),
        ("REGISTRY_PORT", "65536"),
        ("REGISTRY_PORT", "-1"),
        ("REGISTRY_PORT", " 80"),
        ("REGISTRY_PORT", ""),
        ("REGISTRY_PORT", "٨٠"),
        ("REGISTRY_MIN_SIZE_WAIT", "nan"),
        ("REGISTRY_MIN_SIZE_WAIT", "1e1"),
        ("REGISTRY_MAX_BODY", "1MiB"),
        ("REGISTRY_ORIGIN", "https://registry.example/log"),
        ("REGISTRY_ORIGIN", "registry.example/log/"),
        ("REGISTRY_ORIGIN", "registry.example/a+b"),
        ("REGISTRY_ORIGIN", "registry.example/a b"),
        ("REGISTRY_HOST", "two hosts"),
        ("REGISTRY_LOG_FORMAT", "JSON"),
        ("REGISTRY_TRUSTED_PROXIES", ""),
        ("REGISTRY_TRUSTED_PROXIES", "proxy.example"),
        ("REGISTRY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("REGISTRY_TRUSTED_PROXIES", "10.0.0.1,"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(name: str, value: str):
    (problem,) = refusal({name: value})
    assert problem.startswith(f"{name}: {value!r} is not allowed.")


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path):
    secret = tmp_path / "url"
    secret.write_text("postgresql://registry@db/registry\n")
    assert settings.load({"REGISTRY_DATABASE_URL_FILE": str(secret)}).database_url == secret.read_text().strip()


def test_a_secret_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path):
    (problem,) = refusal({"REGISTRY_DATABASE_URL_FILE": str(tmp_path / "none")}, needed=("database_url",))
    assert problem == "REGISTRY_DATABASE_URL_FILE: the file cannot be read: No such file or directory."


def test_a_secret_file_that_is_not_text_is_refused(tmp_path: Path):
    (tmp_path / "url").write_bytes(b"\xff\xfe")
    (problem,) = refusal({"REGISTRY_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert problem == "REGISTRY_DATABASE_URL_FILE: the file cannot be read: it is not UTF-8 text."


def test_a_secret_given_twice_is_refused():
    (problem,) = refusal({"REGISTRY_DATABASE_URL": "postgresql://db", "REGISTRY_DATABASE_URL_FILE": "/run/url"})
    assert problem == "REGISTRY_DATABASE_URL and REGISTRY_DATABASE_URL_FILE are both set. Allowed: one of them."


def test_a_secret_is_never_shown():
    (problem,) = refusal({"REGISTRY_DATABASE_URL": "hunter2"})
    assert "hunter2" not in problem
    assert "hunter2" not in repr(settings.Settings(database_url="postgresql://registry:hunter2@db/registry"))


def test_only_a_secret_can_be_a_file():
    (problem,) = refusal({"REGISTRY_PORT_FILE": "/run/port"})
    assert problem.startswith("REGISTRY_PORT_FILE is not a setting.")


def test_the_variables_of_the_tests_and_of_others_are_left_alone():
    assert settings.load({"REGISTRY_TEST_REQUIRE": "all", "PATH": "/bin"}) == settings.Settings()


def test_every_setting_is_documented_with_a_default_that_is_allowed():
    rows = list(settings.documentation())
    assert {row.variable for row in rows} == {settings.variable(name) for name in settings.Settings.__struct_fields__}
    given = {row.variable: row.default for row in rows if row.default}
    assert settings.load(given) == settings.Settings()


# OpenTelemetry's variables


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"REGISTRY_TRACING_ENDPOINT": "http://c:4318/v1/traces"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp/"}, "https://c/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/in", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
            "http://t/in",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "REGISTRY_TRACING_ENDPOINT": "http://r"}, "http://r"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({"REGISTRY_TRACING_ENDPOINT": "http://r", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
    ],
)
def test_a_collector_is_named_by_our_variable_or_by_opentelemetrys(environ: dict[str, str], endpoint: str | None):
    assert settings.load(environ).tracing_endpoint == endpoint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGISTRY_TRACING_ENDPOINT", "collector:4318"),
        ("REGISTRY_TRACING_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@collector"),
    ],
)
def test_what_is_no_collector_is_refused_by_the_name_of_its_variable(name: str, value: str):
    (problem,) = refusal({name: value})
    assert problem.startswith(f"{name}: ")
    assert "Allowed: an http or https URL" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.1"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_SDK_DISABLED", "yes"),
    ],
)
def test_a_variable_of_opentelemetrys_that_cannot_be_followed_stops_the_start_where_there_is_a_collector(
    name: str, value: str
):
    assert settings.load({name: value}) == settings.Settings()
    (problem,) = refusal({name: value, "REGISTRY_TRACING_ENDPOINT": "http://collector/v1/traces"})
    assert problem.startswith(f"{name}: its value is not allowed. Allowed: ")


@pytest.mark.parametrize("ratio", ["0", "1", "1.0", "0.25", ".5"])
def test_a_share_of_requests_can_be_named(ratio: str):
    read = settings.load({"OTEL_TRACES_SAMPLER_ARG": ratio, "REGISTRY_TRACING_ENDPOINT": "http://collector"})
    assert read.tracing_endpoint == "http://collector"


def test_to_ask_for_traces_without_what_makes_them_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    asked = settings.Settings(tracing_endpoint="http://collector/v1/traces")
    switch.check(asked)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    switch.check(settings.Settings())
    with pytest.raises(settings.InvalidSettings, match=r"Install cooperation-registry\[tracing\]"):
        switch.check(asked)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("postgresql://u:secret@127.0.0.1:abc/x", "a port is a whole number from 1 to 65535"),
        ("postgresql://u:secret@127.0.0.1:99999/x", "a port is a whole number from 1 to 65535"),
        ("postgresql://u:secret@127.0.0.1:0/x", "a port is a whole number from 1 to 65535"),
        ("postgresql://u:secret@one:5432,two:x/x", "a port is a whole number from 1 to 65535"),
        ("postgresql://u:secret@/x?host=/run&port=secret", "a port is a whole number from 1 to 65535"),
        ("postgresql://u:secret%zz@[::1/x", "a % stands before two hexadecimal digits, and itself is written %25"),
        ("postgresql://u:secret@[::1/x", "it is no URI: an IPv6 address stands in brackets"),
        ("postgresql://u:secret@::1/x", "a server is host:port, with an IPv6 address in brackets"),
        ("postgresql://u:secret@one/x?sslmode", "it is no URI: an IPv6 address stands in brackets"),
        ("postgresql://u:sec#ret@one/x", "a # is written %23"),
        ("postgresql://u:secret@one/x?sslmode=secret", "sslmode is one of disable, allow, prefer, require, verify-ca"),
        ("postgresql://u:secret@one/x?target_session_attrs=secret", "target_session_attrs is one of any, primary,"),
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "OWNER_DATABASE_URL", "PROJECTOR_DATABASE_URL"])
def test_a_connection_uri_that_is_none_is_refused_with_what_is_wrong_and_not_shown(uri: str, why: str, name: str):
    (problem,) = refusal({f"REGISTRY_{name}": uri})
    assert problem.startswith(f"REGISTRY_{name}: its value is not allowed: {why}")
    assert "Allowed: a PostgreSQL connection URI" in problem
    assert "sec" not in problem


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://registry@db/registry",
        "postgresql://u:p%40%25@[::1]:5432/x?sslmode=verify-full&sslrootcert=/run/secrets/ca.crt",
        "postgresql://u@one:1,two,[fe80::1]:65535/x?target_session_attrs=prefer-standby",
        "postgresql://u@/x?host=%2Frun%2Fpostgresql&port=5432",
        "postgresql:///x?host=/tmp",
        "postgresql://u@one:1,two:2/x?sslmode=require&target_session_attrs=read-write",
    ],
)
def test_what_a_connection_uri_may_be_is_taken_as_it_is(uri: str):
    assert settings.load({"REGISTRY_DATABASE_URL": uri}).database_url == uri
