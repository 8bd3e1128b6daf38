"""Answers hold no date or time that there is not."""

import calendar
import json
import re
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.constraints.dates import PATTERNS
from parfocal.engine.constraints.schemas import read_schema

DATE, TIME, DATE_TIME = (re.compile(PATTERNS[name]) for name in ("date", "time", "date-time"))


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("year", [0, 1, 4, 10, 100, 400, 999, 1000, 1900, 2000, 2023, 2024, 2100, 9999])
def test_a_date_is_allowed_if_the_calendar_has_it(year: int) -> None:
    texts = [f"{year:04}-{month:02}-{day:02}" for month in range(14) for day in range(33)]

    assert [text for text in texts if DATE.search(text)] == [text for text in texts if is_date(text)]


def test_each_year_has_its_last_day_and_leap_years_one_more() -> None:
    leap = [year for year in range(10_000) if DATE.search(f"{year:04}-02-29")]

    assert leap == [year for year in range(1, 10_000) if calendar.isleap(year)]
    assert [year for year in range(10_000) if DATE.search(f"{year:04}-12-31")] == list(range(1, 10_000))


@given(st.datetimes(timezones=st.timezones()))
def test_any_moment_is_allowed_as_python_writes_it(moment: datetime) -> None:
    text = moment.isoformat()
    offset = moment.utcoffset()
    assert offset is not None
    is_whole = offset.total_seconds() % 60 == 0

    assert bool(DATE_TIME.search(text)) is is_whole
    assert bool(TIME.search(text.split("T")[1])) is is_whole


@pytest.mark.parametrize(
    "text",
    [
        "19:00:60Z", "24:00:00Z", "12:60:00Z", "12:00:00", "12:00Z", "12:00:00.Z", "12:00:00+24:00",
        "12:00:00.1234567890Z", " 12:00:00Z", "12:00:00Z\n",
    ],
)  # fmt: skip
def test_what_is_no_time_is_not_allowed(text: str) -> None:
    assert not re.fullmatch(PATTERNS["time"].strip("^$"), text)


def test_a_pattern_holds_beside_a_format_and_a_property_may_be_called_so() -> None:
    schema = {
        "type": "object",
        "properties": {
            "format": {"type": "string", "enum": ["date"]},
            "day": {"type": "string", "format": "date", "pattern": "^20", "allOf": [{"maxLength": 10}]},
            "id": {"type": "string", "format": "uuid"},
        },
        "examples": [{"format": "date"}],
    }

    read = read_schema(json.dumps(schema))

    assert read["examples"] == [{"format": "date"}]
    assert read["properties"]["format"] == {"type": "string", "enum": ["date"]}
    assert read["properties"]["id"] == {"type": "string", "format": "uuid"}
    assert read["properties"]["day"] == {
        "type": "string",
        "pattern": "^20",
        "allOf": [{"maxLength": 10}, {"pattern": PATTERNS["date"]}],
    }
