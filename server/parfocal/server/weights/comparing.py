"""Norms of the changes that adapters make, and of the difference of two, without ever forming one of them.

||B A||, the Frobenius norm of a matrix of `[out_features, in_features]`, is the root of the sum of the
elements of (B^T B) * (A A^T), which are `[rank, rank]`; so is the inner product of two changes, and with it
the difference. Where two are close, that would be the small rest of large numbers. There, for one rank, it is
taken of the factors before anything is squared: equal ones differ by exactly 0, close ones by what they
differ.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from parfocal.server.weights.factors import Factors, Matrix

# Below this share of the squares, rounding would show in what is left of them.
_CLOSE = 1e-3
_LAYER = re.compile(r"(?:[^.]+\.)*?\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a change is before and after, and how large the difference; what is None is not there.

    `cosine` is 1 where both changes point the same way, 0 where they have nothing in common. There is no
    difference where the shapes differ.
    """

    before: float | None
    after: float | None
    difference: float | None

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between both changes; None where one of them is none."""
        if self.before is None or self.after is None or self.difference is None:
            return None
        product = self.before * self.after
        if product == 0 or not math.isfinite(product):
            return None
        found = (self.before**2 + self.after**2 - self.difference**2) / (2 * product)
        return max(-1.0, min(1.0, found))


@dataclass(frozen=True, slots=True)
class Place:
    """A module, or a layer with all of its modules, and the norms there."""

    name: str
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Norms:
    """The norms of two adapters over all modules, by layer and by module, in the model's order."""

    total: Sizes
    layers: tuple[Place, ...]
    modules: tuple[Place, ...]


def compare(before: Factors, after: Factors, progress: Callable[[int, int], None] | None = None) -> Norms:
    """The norms of two open adapters; `progress` is told the modules that are done and their number.

    Raises OSError.
    """
    paths = sorted(before.targets.keys() | after.targets.keys(), key=_in_order)
    modules: list[Place] = []
    for path in paths:
        modules.append(Place(path, _sizes(before, after, path)))
        if progress is not None:
            progress(len(modules), len(paths))
    layers: dict[str, list[Sizes]] = {}
    for module in modules:
        layers.setdefault(_layer_of(module.name), []).append(module.sizes)
    return Norms(
        _together([module.sizes for module in modules]),
        tuple(Place(name, _together(sizes)) for name, sizes in layers.items()),
        tuple(modules),
    )


def _sizes(before: Factors, after: Factors, path: str) -> Sizes:
    old = before.of(path) if path in before.targets else None
    new = after.of(path) if path in after.targets else None
    if old is None or new is None:  # it differs by all of what is on one side only
        norms = [None if each is None else _norm(*each) for each in (old, new)]
        return Sizes(norms[0], norms[1], norms[0] if norms[1] is None else norms[1])
    first, second = _norm(*old), _norm(*new)
    return Sizes(first, second, _difference(old, new, first**2 + second**2))


def _difference(old: tuple[Matrix, Matrix], new: tuple[Matrix, Matrix], squares: float) -> float | None:
    """The norm of the difference of two changes, whose squared norms add up to `squares`."""
    (a, b), (c, d) = old, new
    if a.shape[1] != c.shape[1] or b.shape[0] != d.shape[0]:
        return None
    squared = squares - 2 * float(np.sum((b.T @ d) * (a @ c.T)))
    if a.shape != c.shape or squared > _CLOSE * squares:
        return math.sqrt(max(0.0, squared))
    # b a - d c = (b - d) a + d (a - c)
    return _norm(np.vstack((a, a - c)), np.hstack((b - d, d)))


def _norm(a: Matrix, b: Matrix) -> float:
    """||b a||, without b a."""
    return math.sqrt(max(0.0, float(np.sum((b.T @ b) * (a @ a.T)))))


def _together(sizes: Sequence[Sizes]) -> Sizes:
    return Sizes(
        _root_of_squares(each.before for each in sizes),
        _root_of_squares(each.after for each in sizes),
        None
        if any(each.difference is None for each in sizes)
        else _root_of_squares(each.difference for each in sizes),
    )


def _root_of_squares(norms: Iterable[float | None]) -> float | None:
    there = [norm for norm in norms if norm is not None]
    return math.sqrt(math.fsum(norm * norm for norm in there)) if there else None


def _layer_of(path: str) -> str:
    """The layer that a module belongs to: the path to its first number, or the module alone.

    >>> _layer_of("model.layers.3.self_attn.q_proj"), _layer_of("lm_head")
    ('model.layers.3', 'lm_head')
    """
    found = _LAYER.match(path)
    return path if found is None else found[0]


def _in_order(path: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers within paths as numbers."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in path.split(".")]
