"""What an evaluation saw and found. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parfocal.training.intervals import Difference, Estimate


@dataclass(frozen=True, slots=True)
class Item:
    """One held-out row. Rows of one `cluster` ask the same question."""

    source: str
    line: int
    slice: str
    cluster: bytes
    prompt: str
    true: str


@dataclass(frozen=True, slots=True)
class ProbeText:
    """A general text that no adapter was trained on."""

    slice: str
    text: str


@dataclass(frozen=True, slots=True)
class PairOfTexts:
    """Two ways to go on from one prompt. `kind` says what the first stands for, `slice` of which group."""

    kind: str
    slice: str
    prompt: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class RowScore:
    """The log-probability of every learnt token of a row, and which of them were the likeliest."""

    logprobs: Sequence[float]
    right: Sequence[bool]

    @property
    def loss(self) -> float:
        """The mean negative log-likelihood of the row's tokens, in nats."""
        return -sum(self.logprobs) / len(self.logprobs)


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: its text, its tokens and the prompt's, and whether it stopped by itself."""

    text: str
    tokens: int
    prompt_tokens: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer. `adapter` is a reference, empty for the base; `digest` is that of the version.

    `prompted` says that each prompt began with the instruction and examples that the evaluation was given.
    """

    title: str
    adapter: str = ""
    digest: str = ""
    prompted: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What one arm did: a score for each item, and what it wrote to the first of them."""

    arm: Arm
    scores: tuple[RowScore, ...]
    written: tuple[Written, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of every arm, of a slice if named; arms are compared with the first, on `rows` rows.

    `improvements` are above 0 where the arm is better than the first. An arm of which the figure was not
    taken has None.
    """

    name: str
    slice: str
    rows: int
    higher_is_better: bool
    estimates: tuple[Estimate | None, ...]
    improvements: tuple[Difference | None, ...]

    def improvement(self, arm: int) -> Difference:
        """That of an arm; raises ValueError where it was not compared."""
        found = self.improvements[arm]
        if found is None:
            raise ValueError(f"{self.name} of arm {arm} was not compared")
        return found

    def estimate(self, arm: int) -> Estimate:
        """That of an arm; raises ValueError where it was not taken."""
        found = self.estimates[arm]
        if found is None:
            raise ValueError(f"{self.name} of arm {arm} was not taken")
        return found


@dataclass(frozen=True, slots=True)
class Continued:
    """What an adapter gained over the parent that it continued from, and what it forgot of it.

    Each figure is of the parent and of the adapter, in this order. `gained` are of the held-out rows and
    `probes` of general texts; `kept` are of rows that the parent was trained on, some of which were replayed:
    of `kept_rows` others.
    """

    parent: str
    gained: tuple[Figure, ...]
    probes: tuple[Figure, ...] = ()
    kept: tuple[Figure, ...] = ()
    kept_rows: int = 0

    def all_figures(self) -> tuple[tuple[str, Figure], ...]:
        """Every figure with what it is of: nothing, `general text`, or `replayed rows`."""
        return (
            *(("", each) for each in self.gained),
            *(("general text", each) for each in self.probes),
            *(("replayed rows", each) for each in self.kept),
        )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation: what was asked, what each arm did, and every figure.

    `metric` is the leading task metric, whose scores of each arm's answers `scores` has; `probes` are figures
    of general texts; `pairs` has each pair of texts with the log-odds for the first of each arm that was
    probed. `neighbours` are the training rows nearest to items, by the items' places. `notes` are what a
    reader must know. `continued` compares the last arm with its parent.
    """

    base: str
    data: str
    data_digest: str
    items: tuple[Item, ...]
    measured: tuple[Measured, ...]
    figures: tuple[Figure, ...]
    metric: str = ""
    scores: tuple[tuple[float, ...], ...] = ()
    probes: tuple[Figure, ...] = ()
    pairs: tuple[tuple[PairOfTexts, tuple[float, ...]], ...] = ()
    neighbours: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    continued: Continued | None = None
