"""All rows of a data set, one after the other, as values, with a finding for each that is none."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from parfocal.registry.values import JSON
from parfocal.training.data.formats.detection import STEPWISE, Format, format_of, guessed_columns
from parfocal.training.data.formats.faults import RowFault, listed
from parfocal.training.data.formats.parsing import parse, unread_keys
from parfocal.training.data.reading import DataStream, Line, Progress, located
from parfocal.training.data.rows import Example
from parfocal.training.findings import Finding, Findings, Severity

Columns = Mapping[str, str]


class ExampleReader:
    """Reads the rows of a file, of standard input or of a data set of the Hub, once, in bounded memory.

    Iterate over it for examples and findings. Afterwards `digest` is the sha256 of the file's bytes (of the
    files' digests where there are several), `formats` says how many rows are in which format, and `count`
    how many objects were read. `columns` names columns that the rows call otherwise, ours to theirs.
    """

    def __init__(self, path: Path, columns: Columns | None = None, progress: Progress | None = None) -> None:
        """Names it; files are found and opened when the first row is asked for."""
        self.path = path
        self.source = "standard input" if str(path) == "-" else path.name
        self.count = 0
        self.containers: list[str] = []
        self._columns = dict(columns or {})
        self._progress = progress
        self._digests: list[str] = []
        self._mixture = Mixture()

    @property
    def digest(self) -> str:
        """The sha256 of what was read."""
        if len(self._digests) == 1:
            return self._digests[0]
        return f"sha256:{hashlib.sha256(' '.join(self._digests).encode()).hexdigest()}"

    @property
    def formats(self) -> Mapping[Format, int]:
        """How many rows were written in which format."""
        return self._mixture.counts

    @property
    def format(self) -> Format | None:
        """The format of most rows."""
        return self._mixture.main

    def __iter__(self) -> Iterator[Example | Finding]:
        for path in located(self.path):
            stream = DataStream(path, self._progress)
            for found in stream:
                if isinstance(found, Finding):
                    yield found
                else:
                    self.count += 1
                    yield from self._examples(found, stream.source)
            self._digests.append(stream.digest)
            if stream.container is not None:
                self.containers.append(stream.container.value)
        yield from self._mixture.findings()

    def _examples(self, line: Line, source: str) -> Iterator[Example | Finding]:
        value = renamed(line.value, self._columns)
        format_ = format_of(value)
        if format_ is None:
            yield _unknown(value, source, line.number)
            return
        self._mixture.add(format_, source, line.number)
        if unread := unread_keys(format_, value):
            message = f"has keys that training does not use; first: {listed(unread)}"
            yield Finding(Severity.WARNING, "IGNORED_KEYS", message, source, (line.number,))
        try:
            yield parse(format_, value, source, line.number)
        except RowFault as fault:
            yield finding_of(fault, source, line.number)


class Mixture:
    """Which formats the rows of a data set have; more than one cannot be meant."""

    def __init__(self) -> None:
        self.counts: dict[Format, int] = {}
        self._lines: dict[Format, Findings] = {}

    @property
    def main(self) -> Format | None:
        """The format of most rows, of equally many the first met."""
        return max(self.counts, key=lambda format_: self.counts[format_], default=None)

    def add(self, format_: Format, source: str, line: int) -> None:
        """Counts a row."""
        self.counts[format_] = self.counts.get(format_, 0) + 1
        message = (
            f"are {format_.value} while most rows are not; use one format per file"
            if format_ is not Format.CHAT_PROMPT
            else "does not end with an assistant message, so there is no answer"
        )
        code = "MIXED_FORMATS" if format_ is not Format.CHAT_PROMPT else "LAST_NOT_ASSISTANT"
        fix = (
            "" if format_ is not Format.CHAT_PROMPT else "complete the talk, or cut it after its last answer"
        )
        found = Finding(Severity.ERROR, code, message, source, (line,), fix)
        self._lines.setdefault(format_, Findings()).add(found)

    def findings(self) -> Iterator[Finding]:
        """Names the rows that are not in the format of most."""
        for format_, lines in self._lines.items():
            if format_ is not self.main:
                yield from lines.as_tuple()


def renamed(value: Mapping[str, JSON], columns: Columns) -> Mapping[str, JSON]:
    """The row with its columns called as the formats call them."""
    if not columns:
        return value
    taken = set(columns.values())
    kept = {name: held for name, held in value.items() if name not in taken and name not in columns}
    return kept | {ours: value[theirs] for ours, theirs in columns.items() if theirs in value}


def finding_of(fault: RowFault, source: str, line: int) -> Finding:
    """The fault of one row as a finding."""
    return Finding(Severity.ERROR, fault.code, str(fault), source, (line,), fault.fix)


def _unknown(value: Mapping[str, JSON], source: str, line: int) -> Finding:
    keys = sorted(value)
    message = f"is in no format that is known; first: keys {listed(keys) or 'none'}"
    if value.keys() >= STEPWISE:
        message = "is stepwise supervision, which no method here uses"
    return Finding(Severity.ERROR, "UNKNOWN_FORMAT", message, source, (line,), _how(keys))


def _how(keys: Sequence[str]) -> str:
    guessed = guessed_columns(keys)
    if "messages" in keys:
        return "give either messages, or prompt and completion"
    if not guessed:
        return (
            "rows have messages, or prompt and completion, or another format of the guide; name your columns "
            "with --column prompt=YOURS"
        )
    return "try " + " ".join(f"--column {ours}={theirs}" for ours, theirs in guessed)
