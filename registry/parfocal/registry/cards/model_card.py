"""A model card written from a manifest: the same for ever, as the version is. Knows no registry."""

import json
from collections.abc import Iterator

from parfocal.registry.values import Contract, Evaluation, Manifest, Provenance

CARD_FILE = "README.md"
LIBRARY = "peft"


def card_data(manifest: Manifest) -> dict[str, object]:
    """What the card says for machines."""
    return {
        "base_model": manifest.contract.base.id,
        "base_model_relation": "adapter",
        "library_name": LIBRARY,
        "pipeline_tag": "text-generation",
        "tags": ["lora", "parfocal", *(tag for tag in manifest.tags if tag not in ("lora", "parfocal"))],
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
            f"# {base.id} with a LoRA adapter merged into it",
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
    yield from ("---", "", f"# LoRA adapter of {manifest.contract.base.id}", "")
    yield from _contract(manifest.contract)
    yield f"- bytes: {manifest.size}"
    if manifest.evaluation is not None:
        yield from _evaluation(manifest.evaluation)
    if manifest.provenance is not None:
        yield from _origin(manifest.provenance)
    if manifest.warnings:
        yield from ("", "Noticed when it was published:", "")
        yield from (f"- {warning}" for warning in manifest.warnings)
    yield ""


def _contract(contract: Contract) -> Iterator[str]:
    base, recipe = contract.base, contract.base.quantisation
    ranks = sorted({target.rank for target in contract.targets})
    suffixes = sorted({target.path.rpartition(".")[2] for target in contract.targets})
    yield f"- base: {base.id}" + (f", revision {base.revision}" if base.revision else "")
    yield f"- modules: {len(contract.targets)}: {', '.join(suffixes)}"
    yield f"- rank: {', '.join(map(str, ranks))}" + (" (rsLoRA)" if contract.use_rslora else "")
    yield f"- served on: {recipe.method}, blocks of {recipe.block_size}"
    if contract.rendering is not None:
        yield f"- rows were written as: {contract.rendering.form}"


def _evaluation(evaluation: Evaluation) -> Iterator[str]:
    yield from ("", f"Evaluated on {evaluation.examples} held-out rows:", "")
    yield from ("| metric | value |", "|---|---|")
    yield from (f"| {name} | {value:g} |" for name, value in sorted(evaluation.metrics.items()))


def _origin(provenance: Provenance) -> Iterator[str]:
    tools = ", ".join(f"{name} {version}" for name, version in sorted(provenance.tools.items()))
    facts = (
        ("source", provenance.source),
        ("data", provenance.data_digest),
        ("parent", provenance.parent),
        ("seed", None if provenance.seed is None else str(provenance.seed)),
        ("tools", tools),
    )
    if any(value for _, value in facts):
        yield from ("", "How it was made:", "")
        yield from (f"- {name}: {value}" for name, value in facts if value)
