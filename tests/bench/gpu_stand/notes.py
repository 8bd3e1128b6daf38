"""What a part finds, on disk from the moment it is known: a part that is cut off keeps what it has."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

Found = dict[str, object]


class Notes:
    """One part's findings, in `folder`/`part`.json. Each title begun is told on stderr."""

    def __init__(self, part: str, folder: Path) -> None:
        self.part, self.folder = part, folder
        self._found: Found = {"part": part}
        self._summary: Found = {}
        self._begun = time.monotonic()

    def picture(self) -> Path:
        """Returns where the part's picture goes."""
        return self.folder / f"{self.part}.png"

    def put(self, **found: object) -> None:
        """Keeps findings in full."""
        self._found |= found
        self._write()

    def sum_up(self, **figures: object) -> None:
        """Keeps figures for the summary of the whole run."""
        self._summary |= figures
        self._write()

    def failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Keeps what ended the part; an interpreter's `excepthook`."""
        self.put(error=f"{kind.__name__}: {error}")
        sys.__excepthook__(kind, error, trace)

    def begin(self, title: str) -> None:
        """Says what is being done now."""
        print(f"  {self.part} {time.monotonic() - self._begun:6.1f} s  {title}", file=sys.stderr, flush=True)

    def within(self, share: float) -> None:
        """Ignores the share."""

    def done(self) -> None:
        """Ignores the step."""

    def _write(self) -> None:
        write_json(self.folder / f"{self.part}.json", {**self._found, "summary": self._summary})


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Writes the whole file or leaves the old one."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(new, path)
