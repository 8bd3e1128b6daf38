"""Reads and checks the data and splits it, in one pass and before any model loads.

Findings on structure, content and tokens are gathered first, so that the user sees all faults at once. Loads
the base's tokenizer, never its weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.training.config import TrainConfig
from parfocal.training.data.content import check_counts, check_leaks, check_repeats
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.formats import rows_of
from parfocal.training.data.jsonl import read_jsonl
from parfocal.training.data.rendering import Sample
from parfocal.training.data.rows import Row
from parfocal.training.data.split import rows_digest, split
from parfocal.training.data.tokens import cut, tokenise
from parfocal.training.findings import Finding, Findings, Report
from parfocal.training.hyperparameters import DataFacts, Hyperparameters, base_facts, choose, max_length


@dataclass(frozen=True, slots=True)
class Prepared:
    """The checked data, ready for training. With errors in `report` `hyperparameters` is None.

    `data_digest` is the sha256 of the data file; `held_out_digest` of what the held-out rows teach.
    """

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    report: Report
    hyperparameters: Hyperparameters | None
    data_digest: str
    held_out_digest: str


def prepare(config: TrainConfig, base: Path) -> Prepared:
    """Returns the rows in tokens, split, with every finding and the hyper-parameters chosen for them.

    Raises:
        DataUnreadable: a file is missing.
        BaseUnfit: the base folder has no usable tokenizer or configuration.
    """
    findings = Findings()
    encoder = BaseEncoder(base, config.template_variables)
    facts = base_facts(base)
    rows, digest = _rows(config.data, config, findings)
    findings.extend(check_repeats(rows))
    if config.held_out is None:
        train_rows, held_rows = split(rows, config.held_out_fraction)
    else:
        train_rows, held_rows = rows, _rows(config.held_out, config, findings)[0]
        findings.extend(check_leaks(train_rows, held_rows))
    findings.extend(check_counts(train_rows, held_rows, config.data.name))
    train, held_out = _tokens(train_rows, encoder, findings), _tokens(held_rows, encoder, findings)
    longest = max((len(sample.ids) for sample in (*train, *held_out)), default=0)
    limit = max_length(config, longest, facts.context).value
    assert isinstance(limit, int)
    train, held_out = _cut(train, limit, findings), _cut(held_out, limit, findings)
    report = Report(config.data.name, findings.as_tuple(), _counts(rows, train, held_out))
    learnt = sum(sample.learnt for sample in train)
    hyperparameters = None if report.errors else choose(config, DataFacts(len(train), longest, learnt), facts)
    return Prepared(train, held_out, report, hyperparameters, digest, rows_digest(held_rows))


def _rows(path: Path, config: TrainConfig, findings: Findings) -> tuple[tuple[Row, ...], str]:
    file = read_jsonl(path)
    findings.extend(file.findings)
    rows, faults = rows_of(file)
    findings.extend(faults)
    return tuple(_as_rendered(row, config.rendering) for row in rows), file.digest


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


def _counts(rows: Sequence[Row], train: Sequence[Sample], held_out: Sequence[Sample]) -> dict[str, int]:
    samples: tuple[Sample, ...] = (*train, *held_out)
    return {
        "rows": len(rows),
        "train_rows": len(train),
        "held_out_rows": len(held_out),
        "tokens": sum(len(sample.ids) for sample in samples),
        "learnt_tokens": sum(sample.learnt for sample in samples),
        "longest_row_tokens": max((len(sample.ids) for sample in samples), default=0),
    }


__all__ = ["Finding", "Prepared", "prepare"]
