"""Dates as they were stated: ISO 8601-2:2019 (EDTF) levels 0 and 1, kept verbatim, with calendar bounds.

Forms: https://www.loc.gov/standards/datetime/ (the profile that ISO 8601-2 makes normative).

| form | example | bounds |
|---|---|---|
| day, month, year | `2019-06-19`, `2019-07`, `2019` | its first and last day |
| date and time | `2019-06-19T10:00:00`, `…Z`, `…-05`, `…+05:30` | the day as written: no time shift is applied |
| season | `2019-21` spring, `-22` summer, `-23` autumn, `-24` winter | see below |
| unspecified digits | `201X`, `20XX`, `2019-XX`, `2019-06-XX`, `2019-XX-XX` | whatever the X may stand for |
| qualified | `2019-06?` uncertain, `2019-06~` approximate, `2019-06%` both | those of the date without the qualifier |
| interval | `2019-06-17/2019-06-23`, `2019-06/2019-06-23` | first day of the start, last day of the end |
| open, unknown end | `2019-06/..`, `../2019-06`, `2019-06/`, `/2019-06` | none at that end |

Which day an instant is of where everybody counts alike, `begins` tells.

What the standard leaves open is settled thus:

- **Seasons** name no hemisphere, and a winter or a southern summer runs over two years of which either may
  be the one named. The bounds hold every reading: March to December for spring and autumn, December of the
  year before to March of the year after for summer and winter. Too wide is found too often; too narrow is missed.
- **Years** run from 0001 to 9999, because bounds are calendar dates. Negative, zero and `Y`-prefixed years
  (the prefix is for more than four digits) are valid EDTF, and refused.
- **Time of day** has seconds 00 to 59 and hours 00 to 23: a leap second or 24:00:00 is refused.
- **Level 2** is refused. That includes unspecified digits within an interval (`2004-06-XX/2004-07-03`
  is the standard's own level 2 example): `2004-06/2004-07-03` has the same bounds.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, date
from typing import Final, NoReturn, final

MAX_CHARACTERS: Final = 64
"""Longer texts are refused unread; the longest valid one has 25 characters."""

_FORMS = "expected a date such as 2019-06-19, 2019-06, 2019, 201X, 2019-06?, 2019-06-17/2019-06-23 or 2019-06/.."

_DATE = re.compile(
    r"(?P<year>[0-9]{4}|[0-9]{3}X|[0-9]{2}XX)"
    r"(?:-(?P<month>[0-9]{2}|XX)"
    r"(?:-(?P<day>[0-9]{2}|XX)"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:Z|(?P<shift>[+-](?P<shift_hour>[0-9]{2})(?::(?P<shift_minute>[0-9]{2}))?))?)?)?)?"
    r"(?P<qualifier>[?~%])?"
)

_PLAIN_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # what most dates are; it saves replays time

# What a text that has none of the forms was probably meant to be; the first that is found is said.
_MISTAKES = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"^$", f"it is empty; {_FORMS}"),
        (r"\s", f"a date has no spaces in it; {_FORMS}"),
        (r"^(Y-?|-)[0-9]", "only the years 0001 to 9999 are kept, written with four digits and neither sign nor Y"),
        (r"^[0-9]{8}", "there are hyphens between year, month and day, as in 2019-06-19"),
        (r"^[0-9]{4}-[0-9]{1,2}(-[0-9]{1,2})?$", "month and day have two digits each, as in 2019-06-09"),
        (r"^[0-9X-]+T[0-9]", "a time of day follows a full date, as in 2019-06-19T10:00:00, with Z or +04:00 if known"),
        (r"[\[{]|[0-9][SE][0-9]", f"EDTF level 2 is not accepted; {_FORMS}"),
        (r"[0-9X-][?~%]|[?~%][0-9X]", "there may be one of ? ~ % and it stands at the end of a date, as in 2019-06?"),
        (r"^X|[0-9-]X", "X may stand only as in 201X, 20XX, 2019-XX, 2019-06-XX and 2019-XX-XX"),
        (r"^(open|unknown)$", "an end that is open is written .. and one that is unknown is left empty"),
        (r"", _FORMS),
    )
)

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY = 2
_MINUTES_A_DAY = 24 * 60
_SPRING, _SUMMER, _AUTUMN, _WINTER = range(21, 25)
_LEVEL_2_SEASONS = range(25, 42)  # seasons of a hemisphere, quarters, quadrimesters, semesters


# The first and the last day that a date without open ends may touch.
_Span = tuple[date, date]


@final
class EdtfDate:
    """A date that is as uncertain as it was stated. Immutable; equal to another that is written the same.

    `earliest` and `latest` are the first and the last day that it may touch: None where an interval's end is
    open or unknown, since nothing then says how far it reaches. A qualifier does not move them (nobody said
    by how much a date is uncertain); it makes the date `qualified`: any part may be marked uncertain (`?`),
    approximate (`~`) or both (`%`).
    """

    __slots__ = ("earliest", "latest", "qualified", "text")

    earliest: date | None
    latest: date | None
    qualified: bool
    text: str

    def __new__(cls, text: str) -> EdtfDate:
        """Read `text` as `parse` does."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"a date has at most {MAX_CHARACTERS} characters; {_FORMS}")
        earliest, latest = _interval(text) if "/" in text else _date(text)
        made = object.__new__(cls)
        object.__setattr__(made, "earliest", earliest)
        object.__setattr__(made, "latest", latest)
        object.__setattr__(made, "qualified", "?" in text or "~" in text or "%" in text)
        object.__setattr__(made, "text", text)
        return made

    @classmethod
    def parse(cls, text: str) -> EdtfDate:
        """Read a date that may come from anywhere.

        Raises nothing but ValueError, whose text says in plain words what is wrong; it quotes no more
        of `text` than digits.
        """
        return cls(text)

    @property
    def begins(self) -> date | None:
        """The first day that it may touch, in UTC where that is known: where the text states an instant.

        That is `earliest`, or the day before or after, by the time and its difference from UTC; an instant beyond
        either end of the calendar is of its first or last day.
        """
        text = self.text
        if self.earliest is None or "T" not in text or (match := _DATE.fullmatch(text)) is None or not match["shift"]:
            return self.earliest
        hour, minute, shift_hour, shift_minute = (
            int(one or 0) for one in match.group("hour", "minute", "shift_hour", "shift_minute")
        )
        shift = shift_hour * 60 + shift_minute
        minutes = hour * 60 + minute - (shift if match["shift"][0] == "+" else -shift)
        days = self.earliest.toordinal() + minutes // _MINUTES_A_DAY
        return date.fromordinal(min(max(days, date.min.toordinal()), date.max.toordinal()))

    def may_lie_in(self, first: date | None, last: date | None) -> bool:
        """Tell whether at least one day it may touch is in the range `first` to `last`, both included.

        None leaves the range without that end. An end of this date that is open or unknown may reach any
        day: `2019-06/..` may lie in every range that ends in June 2019 or later. Whoever asks this question
        misses nothing, save what a qualifier hides. No date lies in a range that ends before it begins.
        """
        return (
            (first is None or last is None or first <= last)
            and (first is None or self.latest is None or first <= self.latest)
            and (last is None or self.earliest is None or self.earliest <= last)
        )

    def must_lie_in(self, first: date | None, last: date | None) -> bool:
        """Tell whether every day it may touch is in the range `first` to `last`, both included.

        None leaves the range without that end. An end of this date that is open or unknown is within only a
        range that has no end on that side: `2019-06/..` must lie in "from June 2019 on", and in no range
        with a last day. Of a qualified date nothing is certain: it must lie only in the range without ends.
        """
        if self.qualified:
            return first is None and last is None
        return (first is None or (self.earliest is not None and first <= self.earliest)) and (
            last is None or (self.latest is not None and self.latest <= last)
        )

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, EdtfDate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"EdtfDate({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an EdtfDate cannot be changed, so {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an EdtfDate cannot be changed, so {name} cannot be deleted")

    def __copy__(self) -> EdtfDate:
        return self

    def __deepcopy__(self, memo: object) -> EdtfDate:
        return self

    def __reduce__(self) -> tuple[type[EdtfDate], tuple[str]]:
        return EdtfDate, (self.text,)


def _interval(text: str) -> tuple[date | None, date | None]:
    if text.count("/") > 1:
        raise ValueError("an interval has one / between its start and its end, as in 2019-06-17/2019-06-23")
    start, _, end = text.partition("/")
    earliest, _ = _end_of_interval("start", start)
    _, latest = _end_of_interval("end", end)
    if earliest is None and latest is None:
        raise ValueError("an interval has a date at one end at least, as in 2019-06/.. or ../2019-06")
    if earliest is not None and latest is not None and earliest > latest:
        raise ValueError("the interval ends before it starts")
    return earliest, latest


def _end_of_interval(name: str, text: str) -> _Span | tuple[None, None]:
    """Return no bounds for an end that is unknown (empty) or open (`..`)."""
    if text in {"", ".."}:
        return None, None
    try:
        return _date_in_interval(text)
    except ValueError as error:
        raise ValueError(f"the interval's {name}: {error}") from None


def _date_in_interval(text: str) -> _Span:
    span = _date(text)
    if "T" in text:
        raise ValueError("an interval is between dates, without time of day")
    if "X" in text:
        raise ValueError("X cannot stand in an interval; leave out what is not known, as in 2019-06/2019-07-03")
    return span


def _date(text: str) -> _Span:
    if _PLAIN_DAY.fullmatch(text):
        try:
            plain = date.fromisoformat(text)
        except ValueError:
            pass  # and find out below what is wrong with it
        else:
            return plain, plain
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(next(reason for pattern, reason in _MISTAKES if pattern.search(text)))
    if match["hour"] is not None:
        _check_time(match)
    return _bounds(*match.group("year", "month", "day"))


def _bounds(year: str, month: str | None, day: str | None) -> _Span:
    if month is None:
        return _year(year)
    if "X" in year:
        raise ValueError("a year with X stands alone, as in 201X")
    if month == "XX":
        if day not in {None, "XX"}:
            raise ValueError("where the month is XX the day is XX too, as in 2019-XX-XX")
        return _year(year)
    if day is None:
        return _month_or_season(year, month)
    if day == "XX":
        return _month(year, month)
    return _day(year, month, day)


def _year(text: str) -> _Span:
    """Take four characters, of which the last ones may be X."""
    return date(_year_number(text.replace("X", "0")), 1, 1), date(int(text.replace("X", "9")), 12, 31)


def _year_number(text: str) -> int:
    year = int(text)
    if year < MINYEAR:
        raise ValueError("there is no year 0000 here; years run from 0001 to 9999")
    return year


def _month_or_season(year_text: str, month_text: str) -> _Span:
    season = int(month_text)
    year = _year_number(year_text)
    if season in {_SPRING, _AUTUMN}:
        return date(year, 3, 1), date(year, 12, 31)
    if season in {_SUMMER, _WINTER}:
        # At either end of the calendar nothing lies beyond what the bounds can say.
        before = date(year - 1, 12, 1) if year > MINYEAR else date.min
        after = date(year + 1, 3, 31) if year < MAXYEAR else date.max
        return before, after
    if season in _LEVEL_2_SEASONS:
        raise ValueError("a season is one of 21 (spring), 22 (summer), 23 (autumn) and 24 (winter)")
    return _month(year_text, month_text)


def _month(year_text: str, month_text: str) -> _Span:
    year, month = _year_number(year_text), _month_number(month_text)
    return date(year, month, 1), date(year, month, _days_in(year, month))


def _month_number(text: str) -> int:
    month = int(text)
    if _SPRING <= month <= _WINTER:
        raise ValueError("a season has no day, as in 2019-21")
    if not 1 <= month <= len(_MONTHS):
        raise ValueError(f"there is no month {text}")
    return month


def _days_in(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if is_leap and month == _FEBRUARY else _MONTH_DAYS[month - 1]


def _day(year_text: str, month_text: str, day_text: str) -> _Span:
    year, month, day = _year_number(year_text), _month_number(month_text), int(day_text)
    if day == 0:
        raise ValueError("there is no day 00")
    if day > _days_in(year, month):
        raise ValueError(f"{_MONTHS[month - 1]} {year_text} has {_days_in(year, month)} days")
    return date(year, month, day), date(year, month, day)


def _check_time(match: re.Match[str]) -> None:
    """Refuse a time that no clock shows, and one that is qualified or of an unspecified day."""
    if match["day"] == "XX" or match["qualifier"]:
        raise ValueError("a time of day goes only with a full date, without X and without any of ? ~ %")
    for group, unit, highest in (
        ("hour", "hour", 23),
        ("minute", "minute", 59),
        ("second", "second", 59),
        ("shift_hour", "hour", 23),
        ("shift_minute", "minute", 59),
    ):
        number = match[group]
        if number is not None and int(number) > highest:
            raise ValueError(f"there is no {unit} {number}; it is at most {highest}")
    if match["shift"] in {"-00", "-00:00"}:
        raise ValueError("no difference from UTC is written Z or +00:00")
