"""The migration runner's rules on files and on what a database remembers, without a database."""

from __future__ import annotations

import hashlib

import pytest

from events.log.migrate import (
    FOLDER,
    Applied,
    DatabaseTooNew,
    InvalidMigrations,
    Migration,
    MigrationEdited,
    load,
    parse,
    pending,
)

ONE = {"0001_one.sql": b"SELECT 1;\n"}
THREE = {**ONE, "0002_two.sql": b"SELECT 2;\n", "0003_three_more.sql": b"SELECT 3;\n"}


def applied(migrations: tuple[Migration, ...]) -> list[Applied]:
    return [Applied(each.version, each.name, each.sha256) for each in migrations]


def test_migrations_come_in_the_order_of_their_numbers_however_the_folder_lists_them():
    migrations = parse(dict(reversed(THREE.items())))

    assert [each.version for each in migrations] == [1, 2, 3]
    assert [each.file for each in migrations] == list(THREE)


def test_a_folder_without_migrations_has_none():
    assert parse({}) == ()


@pytest.mark.parametrize(
    "name",
    [
        "1_one.sql",
        "001_one.sql",
        "00001_one.sql",
        "0000_zero.sql",
        "0001.sql",
        "0001_.sql",
        "0001-one.sql",
        "0001_One.sql",
        "0001_one two.sql",
        "0001__one.sql",
        "0001_one_.sql",
        "0001_naïve.sql",
        "\u0660\u0660\u0660\u0661_one.sql",
        "0001_one.sql.sql",
        "one.sql",
        "0001_one.sql\n",
    ],
)
def test_a_bad_file_name_is_refused_and_named(name: str):
    with pytest.raises(InvalidMigrations) as refused:
        parse({name: b"SELECT 1;"})

    assert refused.value.detail.startswith(name)


def test_a_gap_is_refused_with_the_number_that_is_missing():
    with pytest.raises(InvalidMigrations, match=r"0003_three_more\.sql, but none numbered 0002"):
        parse({name: text for name, text in THREE.items() if "two" not in name})


def test_a_sequence_that_does_not_begin_at_one_is_refused():
    with pytest.raises(InvalidMigrations, match="none numbered 0001"):
        parse({"0002_two.sql": b"SELECT 2;"})


def test_two_files_with_one_number_are_refused_and_both_are_named():
    with pytest.raises(InvalidMigrations) as refused:
        parse({**THREE, "0002_another.sql": b"SELECT 4;"})

    assert "0002_two.sql" in refused.value.detail
    assert "0002_another.sql" in refused.value.detail


def test_a_file_that_is_not_utf8_is_refused():
    with pytest.raises(InvalidMigrations, match=r"0001_one\.sql is not UTF-8"):
        parse({"0001_one.sql": b"SELECT '\xff';"})


def test_the_checksum_is_the_sha256_of_the_file_and_does_not_depend_on_a_checkouts_line_ends():
    unix, windows = parse({"0001_one.sql": b"SELECT 1;\n"}), parse({"0001_one.sql": b"SELECT 1;\r\n"})

    assert unix[0].sha256 == hashlib.sha256(b"SELECT 1;\n").hexdigest()
    assert windows == unix


@pytest.mark.parametrize(
    ("text", "transactional"),
    [
        (b"-- migrate: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (c);", False),
        (b"-- migrate: no-transaction\r\nSELECT 1;", False),
        (b"SELECT 1;\n-- migrate: no-transaction\n", True),
        (b"-- migrate: no-transactions\nSELECT 1;", True),
        (b"", True),
    ],
)
def test_only_the_first_line_takes_a_migration_out_of_its_transaction(text: bytes, transactional: bool):
    (migration,) = parse({"0001_one.sql": text})

    assert migration.transactional is transactional


def test_everything_is_pending_on_a_new_database():
    migrations = parse(THREE)

    assert pending(migrations, []) == migrations


def test_only_what_was_not_applied_is_pending():
    migrations = parse(THREE)

    assert pending(migrations, applied(migrations[:2])) == migrations[2:]
    assert pending(migrations, applied(migrations)) == ()


def test_a_database_with_more_migrations_than_the_program_is_too_new():
    migrations = parse(THREE)

    with pytest.raises(DatabaseTooNew, match=r"at migration 0003 \(three_more\), and this program knows 1") as refused:
        pending(migrations[:1], applied(migrations))
    assert refused.value.code == "database-too-new"


def test_an_edited_migration_is_refused_by_name():
    edited = parse({**THREE, "0002_two.sql": b"SELECT 2; -- better\n"})

    with pytest.raises(MigrationEdited, match=r"^0002_two\.sql is not what was applied") as refused:
        pending(edited, applied(parse(THREE)))
    assert refused.value.code == "migration-edited"


def test_a_renamed_migration_is_the_same_as_long_as_its_text_is():
    renamed = parse({"0001_first.sql": ONE["0001_one.sql"]})

    assert pending(renamed, applied(parse(ONE))) == ()


def test_the_programs_own_migrations_obey_the_rules():
    migrations = load()

    assert len(migrations) == len(list(FOLDER.glob("*.sql"))) > 0
