"""The log's format: one line for people or one JSON object for machines, on stderr. Knows no event.

A record's `facts` (`extra={"facts": {…}}`) follow its message as key=value, or are keys of the object.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from parfocal.registry import printable

_MAX_CHARACTERS = 256
_PLAIN = re.compile(r"[^\s\"=\\]+")


def log_to_stderr(level: str, form: str) -> None:
    """Sends everything this process logs from now on, including Python's warnings, to stderr.

    `level` is a level's name, `form` text or json. Libraries log at one level higher than we do: at INFO some
    log every request that they send.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    ours = getattr(logging, level.upper())
    logging.basicConfig(
        level=max(ours, logging.INFO if level == "debug" else logging.WARNING), handlers=[handler], force=True
    )
    logging.getLogger("parfocal").setLevel(ours)
    logging.captureWarnings(True)


class TextLines(logging.Formatter):
    """`2026-11-26T15:24:49.123Z INFO parfocal.access: what happened key=value`, then a traceback, if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; a message of several lines becomes one.

        A traceback's lines are indented: who gets a line break into an error's message forges no record.
        """
        message = printable(" ".join(record.getMessage().splitlines()))
        facts = [f"{key}={_word(value)}" for key, value in _facts(record).items()]
        line = " ".join([f"{_time(record)} {record.levelname} {record.name}: {message}", *facts])
        return "\n".join([line, *(f"  {part}" for part in _lines(_traceback(self, record)))])


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger and message, then the facts, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON in ASCII."""
        told = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: _cut(value) for key, value in _facts(record).items()},
        }
        if traceback := "".join(_traceback(self, record)):
            told["traceback"] = traceback
        return json.dumps(told)


def _lines(texts: list[str]) -> list[str]:
    return [printable(line, keep="\t") for text in texts for line in text.splitlines()]


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    facts = getattr(record, "facts", {})
    return facts if isinstance(facts, Mapping) else {}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: object) -> str:
    """A value that cannot be mistaken for another part of its line, whatever a caller put into it."""
    if isinstance(value, int | float):
        return str(value)
    text = str(_cut(value))
    return text if text.isprintable() and _PLAIN.fullmatch(text) else json.dumps(text)


def _cut(value: object) -> object:
    """Leaves numbers as they are; anything else becomes text of bounded length."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    return [formatter.formatException(record.exc_info)] if record.exc_info else []
