"""Reads `--against`: a second workload, equal to the first but for the settings that are named."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from parfocal.bench.errors import BadWorkload
from parfocal.bench.workloads.notation import ranks_in
from parfocal.bench.workloads.workload import Workload

_FIELDS: dict[str, Callable[[str], object]] = {
    "adapters": int,
    "slots": int,
    "rank": int,
    "ranks": ranks_in,
    "max_requests": int,
    "shared_prefix": int,
    "zipf": float,
    "dtype": str,
    "adapter_dtype": str,
    "kernels": str,
    "activation_bits": int,
}


@dataclass(frozen=True, slots=True)
class Against:
    """The workload that ours is compared to, and the words that made it."""

    text: str
    workload: Workload


def against_in(text: str, workload: Workload) -> Against:
    """What `slots=64` or `adapters=32,slots=32` or `ranks=8x15,16` makes of a workload.

    Raises BadWorkload.
    """
    changes: dict[str, object] = {}
    for name, value in _pairs(text):
        if name not in _FIELDS:
            raise BadWorkload(
                f"against is {text!r}, but {name!r} cannot differ; what can: {', '.join(_FIELDS)}",
                field="against",
            )
        try:
            changes[name] = _FIELDS[name](value)
        except ValueError as error:
            raise BadWorkload(
                f"against is {text!r}, where {value!r} is no value of {name}", field="against"
            ) from error
    if "rank" in changes:
        changes.setdefault("ranks", ())
    return Against(text, replace(workload, **changes))  # type: ignore[arg-type]  # _FIELDS has the types


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yields names and values; a part without a name goes on with the value before, as in ranks=8,16."""
    pairs: list[tuple[str, str]] = []
    for part in text.split(","):
        name, is_named, value = part.partition("=")
        if is_named:
            pairs.append((name.strip().replace("-", "_"), value.strip()))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{part.strip()}")
        else:
            raise BadWorkload(f"against is {text!r}; write slots=64 or adapters=32,slots=32", field="against")
    yield from pairs
