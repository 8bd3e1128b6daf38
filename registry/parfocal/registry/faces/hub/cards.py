"""A model card written from a manifest: the same for ever, as the version is. Knows no registry."""

import json
from collections.abc import Iterator

from parfocal.registry.values import Manifest

CARD_FILE = "README.md"
LIBRARY = "peft"


def card_data(manifest: Manifest) -> dict[str, object]:
    """What the card says for machines."""
    return {"base_model": manifest.contract.base.id, "library_name": LIBRARY, "tags": ["lora", "parfocal"]}


def card(manifest: Manifest) -> bytes:
    """The card: its data as YAML, then what a person wants to know."""
    return "\n".join(_lines(manifest)).encode()


def _lines(manifest: Manifest) -> Iterator[str]:
    yield "---"
    # JSON is YAML, whatever the texts hold.
    yield from (f"{name}: {json.dumps(value)}" for name, value in card_data(manifest).items())
    yield "---"
    base = manifest.contract.base
    yield from ("", f"# LoRA adapter of {base.id}", "")
    yield f"- base: {base.id}" + (f", revision {base.revision}" if base.revision else "")
    yield f"- modules: {len(manifest.contract.targets)}"
    yield f"- bytes: {manifest.size}"
    if manifest.evaluation is not None:
        yield from ("", f"Evaluated on {manifest.evaluation.examples} held-out rows:", "")
        yield from ("| metric | value |", "|---|---|")
        yield from (f"| {name} | {value:g} |" for name, value in sorted(manifest.evaluation.metrics.items()))
    if manifest.warnings:
        yield from ("", "Noticed when it was published:", "")
        yield from (f"- {warning}" for warning in manifest.warnings)
    yield ""
