"""What a step launches: kernels by name and by what they are for, per step and per layer. Knows no torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# By the first pattern that a kernel's name has. The order matters: cuBLAS names its own kernels freely.
_PARTS = (
    ("copies", r"^Mem(cpy|set)"),
    ("4-bit products", r"gemm_4bit|gemv_4bit|dequant|^product_|joint_kernel|sum_kernel|four_bit|::quantize"),
    ("LoRA shrink", r"^_?shrink"),
    ("LoRA expand", r"^_?expand"),
    ("attention", r"store_kernel|^decode_kernel|combine_kernel|prefill_kernel|flash|fmha|attention"),
    ("sampling", r"likeliest|draw_kernel|bend_kernel|argmax|topk|sort|multinomial|softmax"),
    ("norms, rotations, gates", r"norm_kernel|rotate_kernel|gate_kernel"),
    ("dense products", r"gemm|gemv|nvjet|cutlass|cublas|dense_kernel|splitK|aten::(add)?mm|aten::bmm"),
)
_OTHERS = "others of torch"
_PATTERNS = tuple((part, re.compile(pattern, re.IGNORECASE)) for part, pattern in _PARTS)
PARTS = (*(part for part, _ in _PARTS), _OTHERS)


@dataclass(frozen=True, slots=True)
class Launched:
    """How often a kernel was launched, and what it took in all, in microseconds."""

    count: float = 0.0
    microseconds: float = 0.0

    def minus(self, other: "Launched") -> "Launched":
        """What this has more."""
        return Launched(self.count - other.count, self.microseconds - other.microseconds)

    def over(self, steps: int) -> "Launched":
        """One step's share."""
        return Launched(self.count / steps, self.microseconds / steps)


Kernels = Mapping[str, Launched]


def counted(launches: Iterable[tuple[str, float]]) -> dict[str, Launched]:
    """Sums launches, each a name and its microseconds, by name.

    >>> counted([("a", 1.0), ("b", 2.0), ("a", 3.0)])["a"]
    Launched(count=2, microseconds=4.0)
    """
    found: dict[str, list[float]] = {}
    for name, microseconds in launches:
        found.setdefault(name, []).append(microseconds)
    return {name: Launched(len(taken), sum(taken)) for name, taken in found.items()}


def a_step(longer: Kernels, shorter: Kernels, steps: int) -> dict[str, Launched]:
    """What each of `steps` launches, of which `longer` has so many more: what both share falls out."""
    names = dict.fromkeys([*longer, *shorter])
    none = Launched()
    more = {name: longer.get(name, none).minus(shorter.get(name, none)).over(steps) for name in names}
    return {name: own for name, own in more.items() if own.count}


def part_of(name: str) -> str:
    """What a kernel is for.

    >>> part_of("shrink"), part_of("void kgemm_4bit_inference_naive<...>"), part_of("nvjet_tst_64x8")
    ('LoRA shrink', '4-bit products', 'dense products')
    """
    return next((part for part, pattern in _PATTERNS if pattern.search(name)), _OTHERS)


def by_part(kernels: Kernels) -> dict[str, Launched]:
    """The kernels of each part together, in the order of `PARTS`; parts that launch nothing are left out."""
    found: dict[str, Launched] = {}
    for part in PARTS:
        own = [launched for name, launched in kernels.items() if part_of(name) == part]
        if own:
            found[part] = Launched(sum(one.count for one in own), sum(one.microseconds for one in own))
    return found


def launches(kernels: Kernels) -> float:
    """How many launches a step has."""
    return sum(launched.count for launched in kernels.values())


def launches_a_layer(kernels: Kernels, layers: int) -> int:
    """How many launches each layer adds: what a step launches once outside its layers is no multiple of them.

    >>> launches_a_layer({"norm": Launched(65), "gate": Launched(32), "head": Launched(1)}, 32)
    3
    """
    return sum(round(launched.count) // layers for launched in kernels.values())


def table(steps: Mapping[str, Kernels], layers: int) -> str:
    """Markdown: a line for each part, a column for each kind of step, microseconds and (launches)."""
    parted = {kind: by_part(kernels) for kind, kernels in steps.items()}
    rows = [["microseconds a step (launches)", *steps]]
    for part in PARTS:
        if any(part in found for found in parted.values()):
            rows.append([part, *(_cell(found.get(part)) for found in parted.values())])
    rows.append(["all kernels", *(f"{_microseconds(kernels):,.0f}" for kernels in steps.values())])
    rows.append(["launches a step", *(f"{launches(kernels):,.0f}" for kernels in steps.values())])
    rows.append(["launches a layer", *(str(launches_a_layer(one, layers)) for one in steps.values())])
    return _markdown(rows)


def longest(kernels: Kernels, most: int) -> list[dict[str, object]]:
    """The kernels that take most of a step, the longest first."""
    ordered = sorted(kernels.items(), key=lambda one: -one[1].microseconds)
    return [
        {"kernel": name, "part": part_of(name), "launches": own.count, "microseconds": own.microseconds}
        for name, own in ordered[:most]
    ]


def _microseconds(kernels: Kernels) -> float:
    return sum(launched.microseconds for launched in kernels.values())


def _cell(launched: Launched | None) -> str:
    return "" if launched is None else f"{launched.microseconds:,.0f} ({launched.count:,.0f})"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines) + "\n"
