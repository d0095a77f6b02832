"""Named blocks of SQL: what a file may look like, and what is said of one that does not."""

import pytest

from events import sql

TWO = """-- What this file is for.

-- name: first
-- $1: something.
SELECT $1;

-- name: second
SELECT 2,
    3;
"""


def test_blocks_are_found_by_name_with_their_comments_and_without_the_semicolon():
    blocks = sql.parse("a.sql", TWO)
    assert dict(blocks) == {"first": "-- $1: something.\nSELECT $1", "second": "SELECT 2,\n    3"}
    assert len(blocks) == 2


def test_a_files_blocks_are_read_from_its_package():
    assert "head" in sql.load("events.log", "queries.sql")


def test_a_name_that_is_not_there_is_said_with_the_file():
    with pytest.raises(sql.SqlFileError, match=r"a\.sql has no block named 'third'"):
        sql.parse("a.sql", TWO)["third"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1;", "no line"),
        ("", "no line"),
        ("SELECT 0;\n-- name: one\nSELECT 1;", "before its first name"),
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;", "two blocks named 'one'"),
        ("-- name: one\n-- nothing\n\n-- name: two\nSELECT 2;", "'one' has no statement"),
        ("-- name: one\n;\n", "'one' has no statement"),
    ],
)
def test_a_file_that_is_not_in_form_is_refused(text: str, said: str):
    with pytest.raises(sql.SqlFileError, match=said):
        sql.parse("a.sql", text)
