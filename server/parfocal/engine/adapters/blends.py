"""Blends: several adapters with weights as one adapter, whose delta is the weighted sum of theirs."""

import hashlib
import math
from collections.abc import Sequence

from parfocal.engine.errors import InvalidRequest
from parfocal.engine.request import AdapterKey

MAX_BLENDED = 8
MOST_WEIGHT = 100.0


def blend(parts: Sequence[tuple[AdapterKey, float]]) -> AdapterKey:
    """The blend of adapters with weights: their deltas times the weights, summed exactly.

    It is what PEFT's `add_weighted_adapter(combination_type="cat")` makes, and takes the sum of their ranks.
    Neither the order nor names matter: weights of the same content are added up, and what has the weight 0
    is left out. One adapter with the weight 1 is that adapter.

    >>> first, second = AdapterKey("sha256:1", "a", 1), AdapterKey("sha256:2", "team/b", 3)
    >>> blend([(first, 0.7), (second, 0.3)]).name
    'a@1*0.7+team/b@3*0.3'
    >>> blend([(first, 0.5), (first, 0.5)]) == first
    True

    Raises:
        InvalidRequest: there are none or too many, a weight is out of its range, a part is a blend itself, or
            nothing is left.
    """
    if not 1 <= len(parts) <= MAX_BLENDED:
        raise InvalidRequest(
            f"blend has {len(parts)} adapters; it may have 1 to {MAX_BLENDED}", field="blend"
        )
    for place, (adapter, weight) in enumerate(parts):
        _check(place, adapter, weight)
    kept = _added_up(parts)
    if not kept:
        raise InvalidRequest(
            "the weights of each adapter add up to 0, which leaves the base; send no adapter to ask for it",
            field="blend",
        )
    if len(kept) == 1 and kept[0][1] == 1.0:
        return kept[0][0]
    name = "+".join(f"{_shown(adapter)}*{weight:g}" for adapter, weight in kept)
    return AdapterKey(_digest(kept), name, parts=tuple(kept))


def _check(place: int, adapter: AdapterKey, weight: float) -> None:
    field = f"blend[{place}]"
    if not (math.isfinite(weight) and abs(weight) <= MOST_WEIGHT):
        raise InvalidRequest(
            f"{field}.weight is {weight}; it must be {-MOST_WEIGHT:g} to {MOST_WEIGHT:g}",
            field=f"{field}.weight",
        )
    if adapter.parts:
        raise InvalidRequest(
            f"{field} is a blend itself ({adapter.name}); give its adapters and their weights", field=field
        )


def _added_up(parts: Sequence[tuple[AdapterKey, float]]) -> list[tuple[AdapterKey, float]]:
    """Each content once, by name, without those whose weights add up to 0."""
    weights: dict[AdapterKey, list[float]] = {}
    for adapter, weight in parts:
        weights.setdefault(adapter, []).append(weight)
    found = [(adapter, math.fsum(each)) for adapter, each in weights.items()]
    return sorted(
        ((adapter, weight) for adapter, weight in found if weight != 0.0),
        key=lambda part: (part[0].name, part[0].version, part[0].digest),
    )


def _digest(parts: Sequence[tuple[AdapterKey, float]]) -> str:
    """The sha256 of a text with a line for each part: its digest, a space and its weight as C writes %a."""
    lines = sorted(f"{adapter.digest} {weight.hex()}\n" for adapter, weight in parts)
    return "sha256:" + hashlib.sha256("".join(["blend\n", *lines]).encode()).hexdigest()


def _shown(adapter: AdapterKey) -> str:
    if not adapter.name:
        return adapter.digest
    return f"{adapter.name}@{adapter.version}" if adapter.version else adapter.name
