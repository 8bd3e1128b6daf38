"""Reads the packaged probes. They were written for this purpose, and are under the project's licence."""

import json
from functools import cache
from importlib import resources
from typing import Any

from parfocal.training.figures import PairOfTexts, ProbeText


@cache
def general_texts() -> tuple[ProbeText, ...]:
    """General texts by slice: what an adapter for one job should not have unlearnt."""
    found = _read("general.json")
    return tuple(ProbeText(name, text) for name, texts in found.items() for text in texts)


@cache
def text_pairs() -> tuple[PairOfTexts, ...]:
    """Pairs of texts. Of `stereotypes` the first is the cliché, of `modern_facts` what holds today."""
    found = _read("pairs.json")
    return tuple(
        PairOfTexts(kind, group, *pair)
        for kind, groups in found.items()
        for group, pairs in groups.items()
        for pair in pairs
    )


def _read(name: str) -> Any:
    return json.loads((resources.files(__package__ or "") / name).read_text("utf-8"))
