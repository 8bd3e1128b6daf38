"""Data files written for a test, and what reading them yields."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.training import Finding
from parfocal.training.data.formats import ExampleReader, Format
from parfocal.training.data.reading import DataStream, Line, records_of
from parfocal.training.data.rows import Example


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The objects of a file, what is said of the rest, and the file's digest."""

    lines: tuple[Line, ...]
    findings: tuple[Finding, ...]
    digest: str

    @property
    def values(self) -> list[Mapping[str, Any]]:
        """The objects without their lines."""
        return [line.value for line in self.lines]

    @property
    def numbers(self) -> list[int]:
        """The lines alone."""
        return [line.number for line in self.lines]

    @property
    def by_code(self) -> dict[str, Finding]:
        """One finding for each code: the last."""
        return {finding.code: finding for finding in self.findings}


@dataclass(frozen=True, slots=True)
class ReadExamples:
    """The examples of a file, what is said of the rest, and the format of most rows."""

    examples: tuple[Example, ...]
    by_code: dict[str, Finding]
    format: Format | None


def read_bytes(path: Path, data: bytes) -> ReadFile:
    """Writes `data` to `path` and reads it."""
    path.write_bytes(data)
    return read_file(path)


def read_file(path: Path) -> ReadFile:
    """Reads a file's objects."""
    stream = DataStream(path)
    lines, findings = records_of(stream)
    return ReadFile(lines, findings, stream.digest)


def read_examples(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Mapping[str, str] | None = None
) -> ReadExamples:
    """Writes one row a line to `path` and reads the examples."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    reader = ExampleReader(path, columns)
    found = list(reader)
    return ReadExamples(
        tuple(each for each in found if not isinstance(each, Finding)),
        {each.code: each for each in found if isinstance(each, Finding)},
        reader.format,
    )
