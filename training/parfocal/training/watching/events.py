"""A run as JSON lines, for programs: one object an event, written at once."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from parfocal.registry.values import JSON
from parfocal.training.errors import InvalidConfig
from parfocal.training.runs import Scored, StepDone

STANDARD_OUTPUT = "-"


class EventWatcher:
    """Writes events to `stream`: said, step, scored, saved, and one that says how the run ended.

    Each has `event` and `time` (UTC, ISO 8601); a number that JSON cannot hold is null. A reader that has
    gone does not end a run: nothing is written any more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_read = True

    def say(self, text: str) -> None:
        """Writes `said`."""
        self._write("said", {"text": text})

    def step(self, done: StepDone) -> None:
        """Writes `step`."""
        self._write("step", asdict(done))

    def scored(self, found: Scored) -> None:
        """Writes `scored`."""
        fields = asdict(found)
        self._write("scored", fields.pop("figures") | fields)

    def saved(self, step: int) -> None:
        """Writes `saved`."""
        self._write("saved", {"step": step})

    def told(self, event: str, fields: Mapping[str, JSON]) -> None:
        """Writes an event of another kind than those of single runs."""
        self._write(event, fields)

    def ended(self, result: Mapping[str, JSON]) -> None:
        """Writes `finished`."""
        self._write("finished", result)

    def failed(self, error: BaseException) -> None:
        """Writes `interrupted` or `failed`, with the error's reason where it has one."""
        reason = str(getattr(error, "reason", type(error).__name__))
        event = "interrupted" if reason == "INTERRUPTED" else "failed"
        metadata = getattr(error, "metadata", {})
        self._write(event, {"reason": reason, "message": str(error), **metadata})

    def _write(self, event: str, fields: Mapping[str, JSON]) -> None:
        if not self._is_read:
            return
        finite = {name: None if _is_lost(value) else value for name, value in fields.items()}
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._stream.write(json.dumps({"event": event, "time": moment, **finite}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._is_read = False


def open_events(where: str) -> TextIO:
    """Opens the file to add events to, or standard output for `-`; raises InvalidConfig."""
    if where == STANDARD_OUTPUT:
        return sys.stdout
    try:
        return Path(where).expanduser().open("a", encoding="utf-8")
    except OSError as error:
        raise InvalidConfig(
            f"events is {where!r}, which cannot be written ({error.strerror}); name another file, or - for "
            "standard output",
            field="events",
        ) from error


def _is_lost(value: JSON) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
