"""A model card written from a manifest: the same for ever, as the version is. Knows no registry.

Texts of a publisher cannot become Markdown, HTML or a terminal's orders, and none makes a card endless.
"""

import json
import re
from collections.abc import Iterator, Sequence

from parfocal.registry.insight import Measured, Measurement, measurements
from parfocal.registry.values import JSON, Contract, Evaluation, Manifest, Provenance, printable

CARD_FILE = "README.md"
LIBRARY = "peft"

_OWN_TAGS = ("lora", "parfocal")
_ACTING = re.compile(r"[\\`*\[\]<>|&~$]")
_MOST_METRICS = 200
_MOST_HYPER_PARAMETERS = 100
_MOST_SUFFIXES = 50
_MOST_TOOLS = 50
_MOST_WARNINGS = 100
_MOST_CHARACTERS = 500


def card_data(manifest: Manifest) -> dict[str, object]:
    """What the card says for machines."""
    return {
        "base_model": manifest.contract.base.id,
        "base_model_relation": "adapter",
        "library_name": LIBRARY,
        "pipeline_tag": "text-generation",
        "tags": [*_OWN_TAGS, *(tag for tag in manifest.tags if tag not in _OWN_TAGS)],
    }


def card(manifest: Manifest) -> bytes:
    """The card: its data as YAML, then what a person wants to know."""
    return "\n".join(_lines(manifest)).encode()


def merged_card(manifest: Manifest) -> bytes:
    """The card of the base with the adapter merged into it."""
    base = manifest.contract.base
    return "\n".join(
        [
            "---",
            f"base_model: {json.dumps(base.id)}",
            'base_model_relation: "finetune"',
            'library_name: "transformers"',
            'tags: ["parfocal"]',
            "---",
            "",
            f"# {_plain(base.id)} with a LoRA adapter merged into it",
            "",
            *_contract(manifest.contract),
            f"- merged: W + scale B A in float32, rounded once; the adapter is {manifest.digest}",
            *(_evaluation(manifest.evaluation) if manifest.evaluation is not None else ()),
            "",
        ]
    ).encode()


def _lines(manifest: Manifest) -> Iterator[str]:
    yield "---"
    # JSON is YAML, whatever the texts hold.
    yield from (f"{name}: {json.dumps(value)}" for name, value in card_data(manifest).items())
    yield from ("---", "", f"# LoRA adapter of {_plain(manifest.contract.base.id)}", "")
    yield from _contract(manifest.contract)
    yield f"- bytes: {manifest.size}"
    if manifest.evaluation is not None:
        yield from _evaluation(manifest.evaluation)
    if manifest.provenance is not None:
        yield from _origin(manifest.provenance)
        yield from _hyper_parameters(manifest.provenance)
    if manifest.warnings:
        yield from ("", "Noticed when it was published:", "")
        yield from _cut([f"- {_plain(warning)}" for warning in manifest.warnings], _MOST_WARNINGS)
    yield ""


def _contract(contract: Contract) -> Iterator[str]:
    base, recipe = contract.base, contract.base.quantisation
    ranks = sorted({target.rank for target in contract.targets})
    suffixes = sorted({target.path.rpartition(".")[2] for target in contract.targets})
    yield f"- base: {_plain(base.id)}" + (f", revision {_plain(base.revision)}" if base.revision else "")
    yield f"- modules: {len(contract.targets)}: {_list(suffixes, _MOST_SUFFIXES)}"
    yield f"- rank: {_plain(', '.join(map(str, ranks)))}" + (" (rsLoRA)" if contract.use_rslora else "")
    yield f"- served on: {_plain(recipe.method)}, blocks of {recipe.block_size}"
    if contract.rendering is not None:
        yield f"- rows were written as: {contract.rendering.form}"


def _evaluation(evaluation: Evaluation) -> Iterator[str]:
    found = measurements(evaluation)
    yield from ("", f"Evaluated on {evaluation.examples} held-out rows:", "")
    if any(each.base is not None for each in found):
        yield from ("| metric | adapter | base |", "|---|---|---|")
        yield from _cut([_row(each, with_base=True) for each in found], _MOST_METRICS)
    else:
        yield from ("| metric | value |", "|---|---|")
        yield from _cut([_row(each, with_base=False) for each in found], _MOST_METRICS)
    if any(each.value is not None and each.value.low is not None for each in found):
        yield from ("", "In parentheses: the interval that was recorded.")


def _row(each: Measurement, with_base: bool) -> str:
    cells = [_plain(each.title), _value(each.value), *([_value(each.base)] if with_base else [])]
    return f"| {' | '.join(cells)} |"


def _value(measured: Measured | None) -> str:
    if measured is None:
        return ""
    if measured.low is None and measured.high is None:
        return f"{measured.value:g}"
    low, high = ("?" if end is None else f"{end:g}" for end in (measured.low, measured.high))
    return f"{measured.value:g} ({low} to {high})"


def _origin(provenance: Provenance) -> Iterator[str]:
    tools = [f"{name} {version}" for name, version in sorted(provenance.tools.items())]
    facts = (
        ("source", provenance.source),
        ("data", provenance.data_digest),
        ("parent", provenance.parent),
        ("seed", None if provenance.seed is None else str(provenance.seed)),
    )
    given = [f"- {name}: {_plain(value)}" for name, value in facts if value]
    given += [f"- tools: {_list(tools, _MOST_TOOLS)}"] if tools else []
    if given:
        yield from ("", "How it was made:", "", *given)


def _hyper_parameters(provenance: Provenance) -> Iterator[str]:
    given = [
        f"| {_plain(name)} | {_plain(_text(value))} |"
        for name, value in sorted(provenance.hyper_parameters.items())
        if value is not None
    ]
    if given:
        yield from ("", "| hyper-parameter | value |", "|---|---|")
        yield from _cut(given, _MOST_HYPER_PARAMETERS)


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=list)


def _list(texts: Sequence[str], most: int) -> str:
    more = f", and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(map(_plain, texts[:most]))}{more}"


def _cut(lines: Sequence[str], most: int) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield from ("", f"And {len(lines) - most} more of {len(lines)}.")


def _plain(text: str) -> str:
    """A text in one line that means nothing to Markdown; a long one is cut, and ends with its length."""
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text)} characters)"
    return _ACTING.sub(lambda found: f"\\{found[0]}", printable(shown))
