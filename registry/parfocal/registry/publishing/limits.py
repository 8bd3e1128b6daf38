"""Refuses to publish what a registry could not tell its callers afterwards. Reads no file."""

from collections.abc import Iterator

from parfocal.registry.errors import InvalidPublication
from parfocal.registry.publishing.publication import Publication
from parfocal.registry.values import (
    JSON,
    MAX_METRICS,
    MAX_PROVENANCE_BYTES,
    MAX_SIZE,
    MAX_TEMPLATE_VARIABLES_BYTES,
    MAX_TEXT,
    BaseContract,
    Contract,
    Evaluation,
    InvalidJson,
    Provenance,
    Rendering,
    checked_tags,
    dumps,
)


def check_limits(contract: Contract, publication: Publication) -> None:
    """Raises InvalidPublication, with the field, for what is too long, too much or out of range."""
    for field, text in _texts(contract.base, publication.provenance, publication.evaluation):
        if len(text) > MAX_TEXT or not text.isprintable():
            raise InvalidPublication(
                f"{field} is {text[:80]!a}, of {len(text)} characters; write at most {MAX_TEXT} printable "
                "ones",
                field=field,
            )
    for field, size in _sizes(contract, publication.evaluation):
        if not 0 <= size <= MAX_SIZE:
            raise InvalidPublication(f"{field} is {size}; it must be 0 to {MAX_SIZE}", field=field)
    _check_counts(publication.provenance, publication.evaluation, contract.rendering)
    _check_bytes(publication.noticed, "warnings", MAX_PROVENANCE_BYTES)
    checked_tags(publication.tags)


def _check_counts(
    provenance: Provenance | None, evaluation: Evaluation | None, rendering: Rendering | None
) -> None:
    if evaluation is not None and len(evaluation.metrics) > MAX_METRICS:
        raise InvalidPublication(
            f"the evaluation has {len(evaluation.metrics)} metrics; {MAX_METRICS} fit: keep the totals",
            field="evaluation.metrics",
        )
    if provenance is not None:
        _check_bytes(provenance.to_json(), "provenance", MAX_PROVENANCE_BYTES)
    if rendering is not None:
        variables = rendering.to_json()["template_variables"]
        _check_bytes(variables, "rendering.template_variables", MAX_TEMPLATE_VARIABLES_BYTES)


def _check_bytes(value: JSON, field: str, limit: int) -> None:
    try:
        size = len(dumps(value))
    except InvalidJson as error:
        raise InvalidPublication(f"{field} cannot be recorded: {error}", field=field) from error
    if size > limit:
        raise InvalidPublication(f"{field} takes {size} bytes as JSON; {limit} fit: shorten it", field=field)


def _texts(
    base: BaseContract, provenance: Provenance | None, evaluation: Evaluation | None
) -> Iterator[tuple[str, str]]:
    yield "base.id", base.id
    yield "base.revision", base.revision or ""
    yield "base.config_digest", base.config_digest
    yield "base.tokenizer_digest", base.tokenizer_digest
    yield "base.chat_template_digest", base.chat_template_digest or ""
    yield "base.quantisation.method", base.quantisation.method
    if base.shape is not None:
        yield "base.shape.prefix", base.shape.prefix
    if provenance is not None:
        yield "provenance.data_digest", provenance.data_digest
        yield "provenance.parent", provenance.parent or ""
        yield "provenance.source", provenance.source or ""
        yield from (("provenance.tools", text) for tool in provenance.tools.items() for text in tool)
    if evaluation is not None:
        yield "evaluation.data_digest", evaluation.data_digest
        yield from (("evaluation.metrics", name) for name in evaluation.metrics)


def _sizes(contract: Contract, evaluation: Evaluation | None) -> Iterator[tuple[str, int]]:
    base = contract.base
    yield "base.quantisation.block_size", base.quantisation.block_size
    yield "base.scheme", base.scheme
    if base.shape is not None:
        for name in ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim"):
            yield f"base.shape.{name}", getattr(base.shape, name)
    if evaluation is not None:
        yield "evaluation.examples", evaluation.examples
    for target in contract.targets:
        yield f"{target.path}.in_features", target.in_features
        yield f"{target.path}.out_features", target.out_features
