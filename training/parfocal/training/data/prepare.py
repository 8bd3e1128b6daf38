"""Reads and checks the data and splits it, in one pass and before any model loads.

Findings on structure, content and tokens are gathered first, so that the user sees all faults at once. Loads
the base's tokenizer, never its weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from parfocal.engine.chats import Value
from parfocal.registry import locate_base
from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.data.amounts import check_counts
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.learnable import Learnable
from parfocal.training.data.overlap import check_likeness, check_overlap
from parfocal.training.data.repeats import check_repeats
from parfocal.training.data.replay import Replay, Wanted, replay_of
from parfocal.training.data.rows import Example, Row, row_of
from parfocal.training.data.split import Shares, Split, keys_digest, split
from parfocal.training.data.tokenising import (
    content_key,
    learnable,
    learnt_tokens,
    rendered_as_chats,
    shortened,
)
from parfocal.training.data.views import METHOD_VIEWS, VIEWS, read_rows
from parfocal.training.findings import Finding, Findings, Report, Severity
from parfocal.training.hyperparameters import (
    DataFacts,
    Hyperparameters,
    answer_tokens,
    base_facts,
    choose,
    max_length,
    replay_share,
)

L = TypeVar("L", bound=Learnable)


@dataclass(frozen=True, slots=True)
class Prepared(Generic[L]):
    """The checked data, ready for training. With errors in `report` `hyperparameters` is None.

    `validation` chooses, `held_out` is reported. `data_digest` is the sha256 of the data file; `split` says
    how the rows were parted, with the digest of what each part teaches; `facts` is what choices depend on.
    The last `replayed` rows of `train` are some that the parent learnt before; `kept` are others of those,
    held out.
    """

    train: tuple[L, ...]
    validation: tuple[L, ...]
    held_out: tuple[L, ...]
    report: Report
    hyperparameters: Hyperparameters | None
    data_digest: str
    split: Mapping[str, JSON]
    facts: DataFacts
    replayed: int = 0
    kept: tuple[L, ...] = ()

    @property
    def validation_digest(self) -> str:
        """The sha256 of what the rows to choose on teach."""
        return str(self.split["validation_digest"])

    @property
    def held_out_digest(self) -> str:
        """The sha256 of what the rows to report on teach."""
        return str(self.split["held_out_digest"])

    @property
    def replay_digest(self) -> str:
        """The sha256 of the file of rows that are replayed, empty where there is none."""
        return str(self.split.get("replay_data_digest", ""))


def prepare(config: TrainConfig, base: Path) -> Prepared[Any]:
    """Reads, checks and splits the rows, and chooses the hyper-parameters for them.

    Raises:
        DataUnreadable: a file is missing.
        BaseUnfit: the base folder has no usable tokenizer or configuration.
    """
    findings = Findings()
    encoder = BaseEncoder(base, config.template_variables)
    facts = base_facts(base)
    examples, digest = _examples(config.data, config, findings)
    rows = [row_of(example) for example in examples]
    findings.extend(check_repeats(examples))
    parts, purposes = _parted(examples, config, findings)
    findings.extend(_contents(parts))
    no_choice = config.chooses and not parts.validation
    findings.extend(check_counts(parts.train, parts.held_out, config.data.name, no_choice=no_choice))
    replay = _replay(config, parts, findings)
    tokens = [learnable(part, encoder, findings) for part in (*purposes, replay.learnt, replay.held_out)]
    room = answer_tokens(config)
    longest = room + max((each.size for part in tokens for each in part), default=0)
    limit = max_length(config, longest, facts.context).value
    assert isinstance(limit, int)
    new, validation, held_out, again, kept = (shortened(part, limit, room, findings) for part in tokens)
    counts = {"rows": len(rows), **_counts(new, validation, held_out), "groups": parts.groups}
    record = parts.record() | _digests(purposes) | replay.record()
    report = Report(config.data.name, findings.as_tuple(), counts, record, parts.line() + replay.words())
    train = (*new, *again)
    data = DataFacts(len(train), longest, learnt_tokens(train), bool(validation), len(again))
    hyperparameters = None if report.errors else choose(config, data, facts)
    return Prepared(
        train, validation, held_out, report, hyperparameters, digest, record, data, len(again), kept
    )


def _replay(config: TrainConfig, parts: Split, findings: Findings) -> Replay:
    asked = config.replayed
    if asked is None:
        return Replay()
    examples, digest = _examples(asked[0], config, findings)
    share = replay_share(config)
    wanted = Wanted(share, len(parts.train), config.seed, config.held_out_fraction, config.chooses)
    apart = (*parts.train, *parts.validation, *parts.held_out)
    return replay_of(examples, digest, wanted, apart, findings)


def _contents(parts: Split) -> Iterator[Finding]:
    # Imported here, as it brings numpy, which who only asks for settings need not have.
    from parfocal.training.data.checks import check_contents

    return check_contents(parts.train, (*parts.validation, *parts.held_out))


def base_encoder(base: str, variables: Mapping[str, Value]) -> tuple[BaseEncoder, int]:
    """What turns rows into tokens as `base` does, and its context in tokens; no weights are read.

    Raises:
        BaseUnreachable: there is no such base.
        BaseUnfit: it has no usable tokenizer or configuration.
    """
    folder = locate_base(base, weights=False).folder
    return BaseEncoder(folder, variables), base_facts(folder).context


Purposes = tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...]]


def _parted(examples: Sequence[Example], config: TrainConfig, findings: Findings) -> tuple[Split, Purposes]:
    """The rows by purpose, and the examples that they are of: from files where they are named."""
    rows = [row_of(example) for example in examples]
    choose = config.chooses and config.validation is None
    parts = split(
        rows, Shares.of(len(rows), config.held_out_fraction, choose=choose, report=config.held_out is None)
    )
    validation, held_out = parts.validation, parts.held_out
    to_choose = to_report = examples
    if config.validation is not None:
        to_choose, _ = _examples(config.validation, config, findings)
        validation = _apart(to_choose, (*parts.train, *held_out), findings)
    if config.held_out is not None:
        to_report, _ = _examples(config.held_out, config, findings)
        held_out = _apart(to_report, (*parts.train, *validation), findings)
    findings.extend(check_likeness((*parts.train, *validation), held_out))
    if parts.common:
        message = (
            f"{parts.common} prompts begin more than a fifth of all rows, which cannot be kept together; "
            "held-out answers to them are not scored"
        )
        findings.add(Finding(Severity.NOTE, "COMMON_PROMPT", message, config.data.name))
    purposes = (
        _of_rows(parts.train, examples),
        _of_rows(validation, to_choose),
        _of_rows(held_out, to_report),
    )
    return replace(parts, validation=validation, held_out=held_out, rule=_rule(config, parts)), purposes


def _of_rows(rows: Sequence[Row], examples: Sequence[Example]) -> tuple[Example, ...]:
    """Those of `examples`, one for each of `rows`; a row itself may have been changed on the way here."""
    by_line = {(row.source, row.line): each for each in examples for row in (row_of(each),)}
    found = [by_line[row.source, row.line] for row in rows]
    pairs = zip(rows, found, strict=True)
    return tuple(row if isinstance(example, Row) else example for row, example in pairs)


def _apart(examples: Sequence[Example], known: Sequence[Row], findings: Findings) -> tuple[Row, ...]:
    """The rows of a file of its own that may be scored beside the rows `known`."""
    rows, found = check_overlap(known, [row_of(example) for example in examples])
    findings.extend(found)
    return rows


def _rule(config: TrainConfig, parts: Split) -> str:
    named = (("validation", config.validation), ("held-out", config.held_out))
    files = " and ".join(name for name, path in named if path is not None)
    if not files:
        return parts.rule
    from_files = f"{files} rows from files of their own"
    return f"{from_files}, the others {parts.rule}" if parts.validation or parts.held_out else from_files


def _examples(path: Path, config: TrainConfig, findings: Findings) -> tuple[tuple[Example, ...], str]:
    read = read_rows(path, VIEWS[METHOD_VIEWS[config.method]], config.columns)
    findings.extend(read.findings)
    if config.rendering == "chat":
        return tuple(rendered_as_chats(example) for example in read.rows), read.digest
    return read.rows, read.digest


def _digests(purposes: Purposes) -> dict[str, JSON]:
    """What each part teaches, both answers of a pair and every judgement included."""
    names = ("train_digest", "validation_digest", "held_out_digest")
    return {
        name: keys_digest(content_key(example) for example in part)
        for name, part in zip(names, purposes, strict=True)
    }


def _counts(
    train: Sequence[Learnable], validation: Sequence[Learnable], held_out: Sequence[Learnable]
) -> dict[str, int]:
    found = (*train, *validation, *held_out)
    return {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "held_out_rows": len(held_out),
        "tokens": sum(each.size for each in found),
        "learnt_tokens": learnt_tokens(found),
        "longest_row_tokens": max((each.size for each in found), default=0),
    }


__all__ = ["Finding", "Prepared", "base_encoder", "prepare"]
