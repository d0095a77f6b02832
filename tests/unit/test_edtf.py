from __future__ import annotations

import copy
import pickle
import re
import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.edtf import MAX_CHARACTERS, EdtfDate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the oracle's grammar is in two minds about its own names
    from edtf import parse_edtf

parse = EdtfDate.parse

# Valid texts, each with its bounds; made from the bounds, not by parsing.

years = st.integers(1, 9999)
qualifiers = st.sampled_from(["", "", "?", "~", "%"])


def month_of(day: date) -> tuple[date, date]:
    return day.replace(day=1), date(day.year + day.month // 12, day.month % 12 + 1, 1) - timedelta(days=1)


def year_of(day: date) -> tuple[date, date]:
    return date(day.year, 1, 1), date(day.year, 12, 31)


days = st.dates(date(1, 1, 1), date(9999, 11, 30))  # month_of adds a month
stated_days = st.builds(lambda day: (f"{day}", day, day), days)
stated_months = st.builds(lambda day: (f"{day}"[:7], *month_of(day)), days)
stated_years = st.builds(lambda day: (f"{day}"[:4], *year_of(day)), days)
without_days = st.builds(lambda day: (f"{day}"[:7] + "-XX", *month_of(day)), days)
without_months = st.builds(
    lambda day, rest: (f"{day}"[:4] + rest, *year_of(day)), days, st.sampled_from(["-XX", "-XX-XX"])
)
decades = st.builds(lambda ten: (f"{ten:03}X", date(ten * 10, 1, 1), date(ten * 10 + 9, 12, 31)), st.integers(1, 999))
centuries = st.builds(
    lambda hundred: (f"{hundred:02}XX", date(hundred * 100, 1, 1), date(hundred * 100 + 99, 12, 31)), st.integers(1, 99)
)
plain_dates = stated_days | stated_months | stated_years
unspecified_dates = without_days | without_months | decades | centuries


def qualified(dates):
    return st.builds(lambda stated, qualifier: (stated[0] + qualifier, *stated[1:]), dates, qualifiers)


@st.composite
def intervals(draw):
    first, second = draw(qualified(plain_dates)), draw(qualified(plain_dates))
    if first[1] > second[2]:
        first, second = second, first
    return f"{first[0]}/{second[0]}", first[1], second[2]


half_open_intervals = st.builds(
    lambda stated, end, after: (
        (f"{stated[0]}/{end}", stated[1], None) if after else (f"{end}/{stated[0]}", None, stated[2])
    ),
    qualified(plain_dates),
    st.sampled_from(["", ".."]),
    st.booleans(),
)

closed_dates = qualified(plain_dates | unspecified_dates) | intervals()
valid_dates = closed_dates | half_open_intervals


def bounds(text: str) -> tuple[date | None, date | None]:
    parsed = parse(text)
    return parsed.earliest, parsed.latest


# Reading


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        # level 0
        ("2019-06-19", date(2019, 6, 19), date(2019, 6, 19)),
        ("2019-07", date(2019, 7, 1), date(2019, 7, 31)),
        ("2019", date(2019, 1, 1), date(2019, 12, 31)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("1900-02", date(1900, 2, 1), date(1900, 2, 28)),
        ("2000-02-29", date(2000, 2, 29), date(2000, 2, 29)),
        ("0001", date(1, 1, 1), date(1, 12, 31)),
        ("9999-12-31", date(9999, 12, 31), date(9999, 12, 31)),
        ("1985-04-12T23:20:30", date(1985, 4, 12), date(1985, 4, 12)),
        ("1985-04-12T23:20:30Z", date(1985, 4, 12), date(1985, 4, 12)),
        ("1985-04-12T23:20:30-04", date(1985, 4, 12), date(1985, 4, 12)),
        ("1985-04-12T23:20:30+04:30", date(1985, 4, 12), date(1985, 4, 12)),
        ("1964/2008", date(1964, 1, 1), date(2008, 12, 31)),
        ("2004-02-01/2005-02", date(2004, 2, 1), date(2005, 2, 28)),
        ("2019-06-17/2019-06-23", date(2019, 6, 17), date(2019, 6, 23)),
        ("2019-06/2019-06-23", date(2019, 6, 1), date(2019, 6, 23)),
        ("2019-06-17/2019-06", date(2019, 6, 17), date(2019, 6, 30)),
        ("2019-06/2019-06", date(2019, 6, 1), date(2019, 6, 30)),
        # level 1
        ("1984?", date(1984, 1, 1), date(1984, 12, 31)),
        ("2004-06~", date(2004, 6, 1), date(2004, 6, 30)),
        ("2004-06-11%", date(2004, 6, 11), date(2004, 6, 11)),
        ("201X", date(2010, 1, 1), date(2019, 12, 31)),
        ("20XX", date(2000, 1, 1), date(2099, 12, 31)),
        ("2004-XX", date(2004, 1, 1), date(2004, 12, 31)),
        ("1985-04-XX", date(1985, 4, 1), date(1985, 4, 30)),
        ("1985-XX-XX", date(1985, 1, 1), date(1985, 12, 31)),
        ("201X?", date(2010, 1, 1), date(2019, 12, 31)),
        ("1985-04-12/..", date(1985, 4, 12), None),
        ("1985/", date(1985, 1, 1), None),
        ("../1985-04", None, date(1985, 4, 30)),
        ("/1985-04-12", None, date(1985, 4, 12)),
        ("1984~/2004-06", date(1984, 1, 1), date(2004, 6, 30)),
        ("1984?/2004%", date(1984, 1, 1), date(2004, 12, 31)),
        # seasons of either hemisphere, in either of the years that they run over
        ("2001-21", date(2001, 3, 1), date(2001, 12, 31)),
        ("2001-22", date(2000, 12, 1), date(2002, 3, 31)),
        ("2001-23", date(2001, 3, 1), date(2001, 12, 31)),
        ("2001-24", date(2000, 12, 1), date(2002, 3, 31)),
        ("2001-21~", date(2001, 3, 1), date(2001, 12, 31)),
        ("2001-21/2003-22", date(2001, 3, 1), date(2004, 3, 31)),
        ("0001-24", date(1, 1, 1), date(2, 3, 31)),
        ("9999-22", date(9998, 12, 1), date(9999, 12, 31)),
    ],
)
def test_a_date_is_bounded_by_the_days_that_it_may_touch(text, earliest, latest):
    assert bounds(text) == (earliest, latest)


@given(
    st.builds(datetime.combine, st.dates(date(1, 1, 3), date(9999, 12, 29)), st.times(), tzinfo=st.just(UTC)),
    st.integers(-(24 * 60 - 1), 24 * 60 - 1),
)
def test_an_instant_begins_on_its_day_in_utc_wherever_it_is_read(instant, shift):
    local = instant.replace(microsecond=0).astimezone(timezone(timedelta(minutes=shift)))
    stated = parse(local.isoformat())
    assert stated.begins == instant.date()
    assert (stated.earliest, stated.latest) == (local.date(), local.date())  # as written


@given(valid_dates)
@example(("1985-04-12T23:59:59", date(1985, 4, 12), None))
@example(("1985-04-12T23:59:59Z", date(1985, 4, 12), None))
def test_what_states_no_instant_begins_on_its_earliest_day(stated):
    text, earliest, _ = stated
    assert parse(text).begins == earliest


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-01T04:54:07+12:00", date(2026, 11, 30)),
        ("2026-11-30T17:54:07-12:00", date(2026, 12, 1)),
        ("2026-11-30T17:54:07-12", date(2026, 12, 1)),
        ("2026-11-30T00:00:00+00:00", date(2026, 11, 30)),
        ("0001-01-01T00:00:00+01:00", date.min),
        ("9999-12-31T23:00:00-01:00", date.max),
    ],
)
def test_an_instant_begins_within_the_calendar(text, day):
    assert parse(text).begins == day


@given(valid_dates)
def test_every_valid_date_is_kept_verbatim_with_its_bounds(stated):
    text, earliest, latest = stated
    assert parse(text).text == text
    assert bounds(text) == (earliest, latest)


@given(years, st.sampled_from([21, 22, 23, 24]))
def test_a_season_is_bounded_so_that_both_hemispheres_have_theirs(year, season):
    parsed = parse(f"{year:04}-{season}")
    north, south = {21: (4, 10), 22: (7, 1), 23: (10, 4), 24: (1, 7)}[season]
    assert all(parsed.may_lie_in(date(year, month, 1), date(year, month, 28)) for month in (north, south))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2019-13", "there is no month 13"),
        ("2019-00", "there is no month 00"),
        ("2019-13-01", "there is no month 13"),
        ("2019-02-30", "February 2019 has 28 days"),
        ("2020-02-30", "February 2020 has 29 days"),
        ("1900-02-29", "February 1900 has 28 days"),
        ("2019-06-31", "June 2019 has 30 days"),
        ("2019-12-32", "December 2019 has 31 days"),
        ("2019-06-00", "there is no day 00"),
        ("July", "expected a date such as 2019-06-19"),
        ("19 June 2019", "no spaces"),
        (" 2019", "no spaces"),
        ("2019\n", "no spaces"),
        ("", "it is empty; expected a date such as"),
        ("20190619", "hyphens between year, month and day"),
        ("2019-6-9", "two digits each"),
        ("19.06.2019", "expected a date such as"),
        ("06/19/2019", "one / between"),
        ("\u0662\u0660\u0661\u0669", "expected a date such as"),
        ("\uff12\uff10\uff11\uff19", "expected a date such as"),
        ("2019\u201306", "expected a date such as"),
        ("\ud800", "expected a date such as"),
        ("2019-W25-3", "expected a date such as"),
        ("2019-170", "expected a date such as"),
        # years without a calendar date
        ("0000", "years run from 0001 to 9999"),
        ("0000-01-01", "years run from 0001 to 9999"),
        ("000X", "years run from 0001 to 9999"),
        ("00XX", "years run from 0001 to 9999"),
        ("-1985", "only the years 0001 to 9999"),
        ("Y170000002", "only the years 0001 to 9999"),
        ("Y-170000002", "only the years 0001 to 9999"),
        ("Y2019", "only the years 0001 to 9999"),
        # times
        ("2019-06-19T24:00:00", "there is no hour 24"),
        ("2019-06-19T10:60:00", "there is no minute 60"),
        ("2019-06-19T23:59:60Z", "there is no second 60"),
        ("2019-06-19T10:00:00+24", "there is no hour 24"),
        ("2019-06-19T10:00:00+04:60", "there is no minute 60"),
        ("2019-06-19T10:00:00-00:00", "written Z or +00:00"),
        ("2019-06-19T10:00:00-00", "written Z or +00:00"),
        ("2019-06-19T10:00", "a time of day follows"),
        ("2019-06-19T10:00:00.5", "a time of day follows"),
        ("2019-06T10:00:00", "a time of day follows"),
        ("2019-02-30T10:00:00", "February 2019 has 28 days"),
        ("2019-06-XXT10:00:00", "only with a full date"),
        ("2019-XX-19T10:00:00", "where the month is XX"),
        ("2019-06-19T10:00:00?", "only with a full date"),
        # what X, qualifiers and seasons may not do
        ("XXXX", "X may stand only"),
        ("1XXX", "X may stand only"),
        ("201x", "expected a date such as"),
        ("2019-1X", "X may stand only"),
        ("2019-06-1X", "X may stand only"),
        ("19XX-XX", "a year with X stands alone"),
        ("201X-06", "a year with X stands alone"),
        ("2019-XX-19", "where the month is XX"),
        ("2019?-06", "at the end of a date"),
        ("?2019", "at the end of a date"),
        ("2019?~", "at the end of a date"),
        ("2019-20", "there is no month 20"),
        ("2019-25", "a season is one of 21"),
        ("2019-41", "a season is one of 21"),
        ("2019-42", "there is no month 42"),
        ("2019-21-01", "a season has no day"),
        ("2019-21-XX", "a season has no day"),
        # intervals
        ("2019-07/2019-06", "ends before it starts"),
        ("2019-06-23/2019-06-17", "ends before it starts"),
        ("2020/2019-06?", "ends before it starts"),
        ("/", "a date at one end at least"),
        ("../..", "a date at one end at least"),
        ("../", "a date at one end at least"),
        ("2019/2020/2021", "one / between"),
        ("2019-13/2020", "the interval's start: there is no month 13"),
        ("2019-02-30/..", "the interval's start: February 2019 has 28 days"),
        ("2019/July", "the interval's end: expected a date such as"),
        ("2019/open", "an end that is open is written .."),
        ("unknown/2019", "one that is unknown is left empty"),
        ("2019-06-17/23", "the interval's end: expected"),
        ("2019-06-17/P1D", "the interval's end: expected"),
        ("2019-06-19T10:00:00/2019-06-20", "the interval's start: an interval is between dates"),
        ("2004-06-XX/2004-07-03", "the interval's start: X cannot stand in an interval"),
        ("2004/201X", "the interval's end: X cannot stand in an interval"),
        # level 2
        ("[1667,1668,1670..1672]", "level 2"),
        ("{1960,1961-12}", "level 2"),
        ("1950S2", "level 2"),
        ("Y-17E7", "only the years"),
        ("156X-12-25", "a year with X stands alone"),
        ("2004-06-~01/2004-06-~20", "at the end of a date"),
    ],
)
def test_what_is_no_date_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse(text)


def test_a_text_that_is_too_long_is_refused_unread():
    with pytest.raises(ValueError, match=f"at most {MAX_CHARACTERS} characters"):
        parse("2019-06-19" * 10_000_000)


def assert_read_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError as error:
        reason = str(error)
        assert reason.isprintable()
        assert reason.encode()
    else:
        assert parsed.text == text
        assert parsed.earliest is None or parsed.latest is None or parsed.earliest <= parsed.latest


@given(st.text(max_size=80))
def test_arbitrary_text_is_read_or_refused_with_value_error(text):
    assert_read_or_refused(text)


@given(st.text(st.sampled_from("0123456789-/XTZ:+?~%. Y[]"), max_size=30))
def test_text_of_the_characters_of_dates_is_read_or_refused_with_value_error(text):
    assert_read_or_refused(text)


@given(valid_dates, st.integers(0, 30), st.sampled_from([*"0123456789-/XTZ:+?~%.", ""]))
def test_a_valid_date_with_one_character_altered_is_read_or_refused_with_value_error(stated, at, character):
    text = stated[0]
    assert_read_or_refused(text[:at] + character + text[at + 1 :])


@given(st.text(st.sampled_from("0123456789-/XT"), min_size=1, max_size=12))
def test_the_reason_quotes_nothing_that_could_not_be_shown(text):
    marked = f"\x1b[31m<script>{text}"
    with pytest.raises(ValueError, match=r"^[^<\x1b]+$"):
        parse(marked)


# Beside another implementation


def their_bounds(text: str) -> tuple[date, date]:
    theirs: Any = parse_edtf(text)
    return date(*theirs.lower_strict()[:3]), date(*theirs.upper_strict()[:3])


@settings(max_examples=150)  # of 5 ms and more each
@given(closed_dates)
@example(("2019-06/2019-06-23", date(2019, 6, 1), date(2019, 6, 23)))
@example(("1984~/2004-06", date(1984, 1, 1), date(2004, 6, 30)))
def test_the_edtf_package_reads_the_same_bounds(stated):
    assert their_bounds(stated[0]) == bounds(stated[0])


@pytest.mark.parametrize(
    ("text", "theirs"),
    [
        # Seasons are those of the northern hemisphere, and winter is December alone.
        ("2001-21", (date(2001, 3, 1), date(2001, 5, 31))),
        ("2001-24", (date(2001, 12, 1), date(2001, 12, 31))),
        # An unknown end is ten years off.
        ("2019-06/", (date(2019, 6, 1), date(2029, 6, 1))),
        ("/2019-06", (date(2009, 6, 30), date(2019, 6, 30))),
    ],
)
def test_where_the_edtf_package_guesses_we_do_not(text, theirs):
    assert their_bounds(text) == theirs
    assert bounds(text) != theirs


@pytest.mark.parametrize(
    "text",
    [
        "2019-07/2019-06",  # ends before it starts
        "2004-06-XX/2004-07-03",  # level 2
        "1XXX",
        "1950S2",
        "0000",  # no calendar date
        "-1985",
        "Y170000002",
        "2019-06-19T24:00:00",
    ],
)
def test_where_the_edtf_package_goes_further_we_refuse(text):
    assert parse_edtf(text)
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


# Lying in a range


def extent(first: date | None, last: date | None) -> tuple[float, float]:
    return (float("-inf") if first is None else first.toordinal(), float("inf") if last is None else last.toordinal())


near = st.dates(date(2019, 5, 1), date(2019, 7, 31))
ends = st.none() | near
near_dates = st.sampled_from(
    ["2019-06-19", "2019-06", "2019", "2019-06-17/2019-06-23", "2019-06/..", "../2019-06", "2019-06/", "/2019-06-10"]
)


@given(near_dates, ends, ends)
def test_a_date_may_lie_in_a_range_that_shares_a_day_with_it(text, first, last):
    parsed = parse(text)
    (earliest, latest), (begin, end) = extent(parsed.earliest, parsed.latest), extent(first, last)
    assert parsed.may_lie_in(first, last) == (max(earliest, begin) <= min(latest, end))


@given(near_dates, ends, ends)
def test_a_date_must_lie_in_a_range_that_has_all_its_days(text, first, last):
    parsed = parse(text)
    (earliest, latest), (begin, end) = extent(parsed.earliest, parsed.latest), extent(first, last)
    assert parsed.must_lie_in(first, last) == (begin <= earliest and latest <= end)


@given(valid_dates, st.none() | st.dates(), st.none() | st.dates())
def test_what_must_lie_in_a_range_may_lie_in_it(stated, first, last):
    parsed = parse(stated[0])
    assert parsed.may_lie_in(first, last) or not parsed.must_lie_in(first, last)


@given(valid_dates)
def test_every_date_must_lie_in_the_range_without_ends(stated):
    assert parse(stated[0]).must_lie_in(None, None)
    assert parse(stated[0]).may_lie_in(None, None)


@given(valid_dates, st.dates(), st.dates())
def test_no_date_lies_in_a_range_that_ends_before_it_begins(stated, one, other):
    if one != other:
        assert not parse(stated[0]).may_lie_in(max(one, other), min(one, other))
        assert not parse(stated[0]).must_lie_in(max(one, other), min(one, other))


def test_an_open_end_may_reach_any_day_and_must_reach_none():
    ongoing = parse("2019-06/..")
    assert ongoing.may_lie_in(date(2100, 1, 1), date(2100, 12, 31))
    assert not ongoing.may_lie_in(None, date(2019, 5, 31))
    assert ongoing.must_lie_in(date(2019, 6, 1), None)
    assert not ongoing.must_lie_in(date(2019, 6, 1), date(9999, 12, 31))


@pytest.mark.parametrize("text", ["2019-06?", "2019-06~", "2019-06%", "2019-06?/2019-07", "2019-06/2019-07~"])
def test_nothing_is_certain_of_a_qualified_date(text):
    parsed = parse(text)
    assert parsed.qualified
    assert parsed.may_lie_in(date(2019, 6, 1), date(2019, 6, 30))
    assert not parsed.must_lie_in(date(2000, 1, 1), date(2100, 1, 1))


def test_a_date_that_is_vague_is_not_qualified_by_that():
    assert not any(parse(text).qualified for text in ("2019-06", "201X", "2019-XX-XX", "2019-21", "2019/.."))


# Being a value


def test_dates_are_equal_when_written_the_same_not_when_meaning_the_same():
    assert parse("2019-06") == parse("2019-06")
    assert len({parse("2019-06"), parse("2019-06")}) == 1
    assert parse("2019-XX") != parse("2019")
    assert parse("2019") != "2019"


def test_a_date_shows_itself_as_it_is_made():
    assert repr(parse("2019-06?")) == "EdtfDate('2019-06?')"
    assert EdtfDate("2019-06?") == parse("2019-06?")
    assert str(parse("2019-06?")) == "2019-06?"


@pytest.mark.parametrize("name", ["text", "earliest", "latest", "other"])
def test_a_date_cannot_be_changed(name):
    stated = parse("2019-06")
    with pytest.raises(AttributeError, match="cannot be changed"):
        setattr(stated, name, None)
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(stated, name)
    assert not hasattr(stated, "__dict__")


@given(valid_dates)
def test_a_date_survives_pickling_and_copying(stated):
    parsed = parse(stated[0])
    assert pickle.loads(pickle.dumps(parsed)) == parsed  # noqa: S301
    assert copy.copy(parsed) is copy.deepcopy(parsed) is parsed
