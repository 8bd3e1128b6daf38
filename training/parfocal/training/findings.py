"""What the checks found in the data, with line numbers. Decides only how a finding reads."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from parfocal.registry.values import JSON

_SHOWN_LINES = 8
_KEPT_LINES = 1000  # a file of any size may be at fault in every line
_RECORDED_FINDINGS, _RECORDED_LINES = 40, 5  # every reply with a version repeats them
_FIRST = "; first:"


class Severity(enum.Enum):
    """Whether a finding stops the run."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault and the lines that have it, counted from 1 as editors do.

    `source` is the file that `lines` count in; `lines` is empty for what concerns the data as a whole, and
    holds the first thousand of very many: `more` is how many others there are. `fix` says what to do.
    """

    severity: Severity
    code: str
    message: str
    source: str
    lines: tuple[int, ...] = ()
    fix: str = ""
    more: int = 0

    @property
    def count(self) -> int:
        """How many lines have it."""
        return len(self.lines) + self.more

    def headline(self) -> str:
        """The finding in one line, with its first lines named."""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.code} {self.message}{fix}{self._where()}"

    def to_json(self) -> dict[str, JSON]:
        return {
            "severity": self.severity.value,
            "code": self.code,
            "message": self.message,
            "source": self.source,
            "count": self.count,
            "lines": list(self.lines),
            "fix": self.fix,
        }

    def _where(self) -> str:
        if not self.lines:
            return ""
        shown = ", ".join(map(str, self.lines[:_SHOWN_LINES]))
        more = self.count - _SHOWN_LINES
        rest = f" and {more} more" if more > 0 else ""
        return f" ({self.source} line{'s' * (len(self.lines) > 1)} {shown}{rest})"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the checks found in one pass, what was counted on the way, and how the rows were split."""

    source: str
    findings: tuple[Finding, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    split: Mapping[str, JSON] = field(default_factory=dict)
    split_line: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the data unusable."""
        return tuple(found for found in self.findings if found.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that the user should read, though training goes on."""
        return tuple(found for found in self.findings if found.severity is Severity.WARNING)

    def to_json(self) -> dict[str, JSON]:
        return {
            "source": self.source,
            "accepted": not self.errors,
            "counts": dict(self.counts),
            "split": dict(self.split),
            "findings": [found.to_json() for found in self.findings],
        }

    def summary(self) -> dict[str, JSON]:
        """As much of it as a version records: counts, and each finding with its first lines."""
        return {
            "counts": dict(self.counts),
            "findings": [
                {
                    "severity": found.severity.value,
                    "code": found.code,
                    "count": found.count,
                    "source": found.source,
                    "lines": list(found.lines[:_RECORDED_LINES]),
                }
                for found in self.findings[:_RECORDED_FINDINGS]
            ],
        }

    def lines(self) -> list[str]:
        """The report as lines of text, most severe first; how the rows were split comes last."""
        order = list(Severity)
        ranked = sorted(self.findings, key=lambda found: order.index(found.severity))
        lines = [f"{found.severity.value:<8}{found.headline()}" for found in ranked]
        return [*lines, *([f"{'rows':<8}{self.split_line}"] if self.split_line else [])]


class Findings:
    """Gathers findings while the checks run: one entry per fault and file, however many lines have it.

    Messages that differ only after `; first:` are the same fault; the first line's detail is kept.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], _Gathered] = {}

    def add(self, finding: Finding) -> None:
        """Adds `finding`, merging its lines with those of the same fault."""
        key = (finding.source, finding.code, finding.message.split(_FIRST)[0])
        gathered = self._found.get(key)
        if gathered is None:
            gathered = self._found[key] = _Gathered(finding)
        gathered.add(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Keeps every one of `findings`."""
        for finding in findings:
            self.add(finding)

    def as_tuple(self) -> tuple[Finding, ...]:
        """What was found, in the order it was first found."""
        return tuple(gathered.finding() for gathered in self._found.values())


class _Gathered:
    """The lines of one fault, of which the first to come are kept."""

    def __init__(self, first: Finding) -> None:
        self._first = first
        self._lines: set[int] = set()
        self._more = 0

    def add(self, finding: Finding) -> None:
        for line in finding.lines:
            if len(self._lines) < _KEPT_LINES:
                self._lines.add(line)
            elif line not in self._lines:
                self._more += 1
        self._more += finding.more

    def finding(self) -> Finding:
        return replace(self._first, lines=tuple(sorted(self._lines)), more=self._more)
