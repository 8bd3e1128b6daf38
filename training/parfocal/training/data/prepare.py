"""Reads and checks the data and splits it, in one pass and before any model loads.

Findings on structure, content and tokens are gathered first, so that the user sees all faults at once. Loads
the base's tokenizer, never its weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.engine.chats import Value
from parfocal.registry import locate_base
from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.data.amounts import check_counts
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.overlap import check_likeness, check_overlap
from parfocal.training.data.rendering import Sample
from parfocal.training.data.repeats import check_repeats
from parfocal.training.data.rows import Row
from parfocal.training.data.split import Shares, Split, split
from parfocal.training.data.tokens import cut, tokenise
from parfocal.training.data.views import read_rows, sft
from parfocal.training.findings import Finding, Findings, Report, Severity
from parfocal.training.hyperparameters import DataFacts, Hyperparameters, base_facts, choose, max_length


@dataclass(frozen=True, slots=True)
class Prepared:
    """The checked data, ready for training. With errors in `report` `hyperparameters` is None.

    `validation` chooses, `held_out` is reported. `data_digest` is the sha256 of the data file; `split` says
    how the rows were parted, with the digest of what each part teaches.
    """

    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    report: Report
    hyperparameters: Hyperparameters | None
    data_digest: str
    split: Mapping[str, JSON]

    @property
    def validation_digest(self) -> str:
        """The sha256 of what the rows to choose on teach."""
        return str(self.split["validation_digest"])

    @property
    def held_out_digest(self) -> str:
        """The sha256 of what the rows to report on teach."""
        return str(self.split["held_out_digest"])


def prepare(config: TrainConfig, base: Path) -> Prepared:
    """Reads, checks and splits the rows, and chooses the hyper-parameters for them.

    Raises:
        DataUnreadable: a file is missing.
        BaseUnfit: the base folder has no usable tokenizer or configuration.
    """
    findings = Findings()
    encoder = BaseEncoder(base, config.template_variables)
    facts = base_facts(base)
    rows, digest = _rows(config.data, config, findings)
    findings.extend(check_repeats(rows))
    parts = _parted(rows, config, findings)
    findings.extend(_contents(parts))
    no_choice = config.chooses and not parts.validation
    findings.extend(check_counts(parts.train, parts.held_out, config.data.name, no_choice=no_choice))
    purposes = [_tokens(part, encoder, findings) for part in (parts.train, parts.validation, parts.held_out)]
    longest = max((len(sample.ids) for samples in purposes for sample in samples), default=0)
    limit = max_length(config, longest, facts.context).value
    assert isinstance(limit, int)
    train, validation, held_out = (_cut(samples, limit, findings) for samples in purposes)
    counts = {"rows": len(rows), **_counts(train, validation, held_out), "groups": parts.groups}
    report = Report(config.data.name, findings.as_tuple(), counts, parts.record(), parts.line())
    data = DataFacts(len(train), longest, sum(sample.learnt for sample in train), bool(validation))
    hyperparameters = None if report.errors else choose(config, data, facts)
    return Prepared(train, validation, held_out, report, hyperparameters, digest, parts.record())


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


def _parted(rows: tuple[Row, ...], config: TrainConfig, findings: Findings) -> Split:
    """The rows by purpose: from files where they are named, the rest from the data."""
    choose = config.chooses and config.validation is None
    parts = split(
        rows, Shares.of(len(rows), config.held_out_fraction, choose=choose, report=config.held_out is None)
    )
    validation, held_out = parts.validation, parts.held_out
    if config.validation is not None:
        validation = _from_file(config.validation, (*parts.train, *held_out), config, findings)
    if config.held_out is not None:
        held_out = _from_file(config.held_out, (*parts.train, *validation), config, findings)
    findings.extend(check_likeness((*parts.train, *validation), held_out))
    if parts.common:
        message = (
            f"{parts.common} prompts begin more than a fifth of all rows, which cannot be kept together; "
            "held-out answers to them are not scored"
        )
        findings.add(Finding(Severity.NOTE, "COMMON_PROMPT", message, config.data.name))
    return replace(parts, validation=validation, held_out=held_out, rule=_rule(config, parts))


def _from_file(path: Path, known: Sequence[Row], config: TrainConfig, findings: Findings) -> tuple[Row, ...]:
    rows, found = check_overlap(known, _rows(path, config, findings)[0])
    findings.extend(found)
    return rows


def _rule(config: TrainConfig, parts: Split) -> str:
    named = (("validation", config.validation), ("held-out", config.held_out))
    files = " and ".join(name for name, path in named if path is not None)
    if not files:
        return parts.rule
    from_files = f"{files} rows from files of their own"
    return f"{from_files}, the others {parts.rule}" if parts.validation or parts.held_out else from_files


def _rows(path: Path, config: TrainConfig, findings: Findings) -> tuple[tuple[Row, ...], str]:
    read = read_rows(path, sft, config.columns)
    findings.extend(read.findings)
    return tuple(_as_rendered(row, config.rendering) for row in read.rows), read.digest


def _as_rendered(row: Row, rendering: str) -> Row:
    return replace(row, raw=False) if rendering == "chat" else row


def _tokens(rows: Sequence[Row], encoder: BaseEncoder, findings: Findings) -> tuple[Sample, ...]:
    tokenised = tokenise(rows, encoder)
    findings.extend(tokenised.findings)
    return tokenised.samples


def _cut(samples: tuple[Sample, ...], limit: int, findings: Findings) -> tuple[Sample, ...]:
    result = cut(samples, limit)
    findings.extend(result.findings)
    return result.samples


def _counts(
    train: Sequence[Sample], validation: Sequence[Sample], held_out: Sequence[Sample]
) -> dict[str, int]:
    samples: tuple[Sample, ...] = (*train, *validation, *held_out)
    return {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "held_out_rows": len(held_out),
        "tokens": sum(len(sample.ids) for sample in samples),
        "learnt_tokens": sum(sample.learnt for sample in samples),
        "longest_row_tokens": max((len(sample.ids) for sample in samples), default=0),
    }


__all__ = ["Finding", "Prepared", "base_encoder", "prepare"]
