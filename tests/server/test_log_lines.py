"""How lines of the log look: one line each, whatever a caller put into it."""

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.server.log_lines import JsonLines, TextLines

TIME = 1_795_708_556.25  # 2026-11-26T15:55:56.250Z


def record(message: str, facts: dict[str, object] | None = None) -> logging.LogRecord:
    made = logging.LogRecord("parfocal.access", logging.INFO, "file", 1, message, (), None)
    made.created = TIME
    if facts is not None:
        made.facts = facts
    return made


def test_a_line_for_people_has_time_level_name_message_and_facts() -> None:
    line = TextLines().format(record("Generate", {"request_id": "a1", "prompt_tokens": 3, "total_s": 0.25}))

    assert line == (
        "2026-11-26T15:55:56.250Z INFO parfocal.access: Generate request_id=a1 prompt_tokens=3 total_s=0.25"
    )


def test_a_line_for_machines_is_an_object_whose_numbers_are_numbers() -> None:
    line = JsonLines().format(record("Generate", {"request_id": "a1", "prompt_tokens": 3, "total_s": 0.25}))

    assert json.loads(line) == {
        "time": "2026-11-26T15:55:56.250Z",
        "level": "INFO",
        "logger": "parfocal.access",
        "message": "Generate",
        "request_id": "a1",
        "prompt_tokens": 3,
        "total_s": 0.25,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("team/invoices@3", "team/invoices@3"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a\nERROR forged", '"a\\nERROR forged"'),
        ('say "x"', '"say \\"x\\""'),
        ("a=b", '"a=b"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("größer", "größer"),
        ("x" * 1000, "x" * 255 + "…"),
    ],
)
def test_a_fact_cannot_be_taken_for_another(value: str, shown: str) -> None:
    assert TextLines().format(record("m", {"adapter": value})).endswith(f" m adapter={shown}")


@given(message=st.text(), value=st.text())
def test_every_record_is_one_line(message: str, value: str) -> None:
    given_record = record(message.replace("%", ""), {"fact": value})

    assert len(TextLines().format(given_record).splitlines()) == 1
    line = JsonLines().format(given_record)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["fact"] == (value if len(value) <= 256 else value[:255] + "…")


def test_a_traceback_follows_its_line_and_is_a_key_for_machines() -> None:
    failed = record("Generate failed", {"request_id": "a1"})
    try:
        int("x")
    except ValueError:
        failed.exc_info = sys.exc_info()

    text = TextLines().format(failed).splitlines()
    assert text[0].endswith("Generate failed request_id=a1")
    assert text[1].startswith("  Traceback") and text[-1].startswith("  ValueError: invalid literal")
    told = json.loads(JsonLines().format(failed))
    assert told["traceback"].splitlines()[-1].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["parfocal.rpc DEBUG", "parfocal.rpc INFO", "httpx INFO", "httpx WARNING"]),
        ("info", ["parfocal.rpc INFO", "httpx WARNING"]),
        ("warning", ["httpx WARNING"]),
        ("error", []),
    ],
)
def test_libraries_are_heard_a_level_later_than_we_are(level: str, heard: list[str]) -> None:
    script = (
        "import logging; from parfocal.server.log_lines import log_to_stderr\n"
        f"log_to_stderr({level!r}, 'text')\n"
        "for name, levels in (('parfocal.rpc', (10, 20)), ('httpx', (10, 20, 30))):\n"
        "    [logging.getLogger(name).log(level, 'said') for level in levels]\n"
    )
    command = [sys.executable, "-c", script]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()

    assert [f"{line.split()[2][:-1]} {line.split()[1]}" for line in lines] == heard
