"""The norms of two versions as a picture in the terminal, and as JSON."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parfocal.cli.display import say, show_heading, show_table, shown_width
from parfocal.cli.documents import Document
from parfocal.cli.sight.cutting import first, shortened

if TYPE_CHECKING:  # numpy comes with it
    from parfocal.server.weights import Norms, Place, Sizes

_EIGHTHS = " ▏▎▍▌▋▊▉"
_WIDEST, _NARROWEST = 40, 8
# What the other columns take at most.
_BESIDE = 60
_MOST_LAYERS = 200
_MOST_MODULES = 10


def bar(value: float, most: float, width: int) -> str:
    """A bar of at most `width` characters, in eighths of one.

    >>> bar(1.5, 3, 4), bar(1, 16, 4), bar(0, 3, 4)
    ('██', '▎', '')
    """
    eighths = round(value / most * width * 8) if most > 0 else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def show_norms(norms: "Norms") -> None:
    """Prints a bar for each layer's difference, and the modules that differ most."""
    show_heading("Weights: the norm of scale * B A, layer by layer")
    total = norms.total
    say(f"before {_number(total.before)}, after {_number(total.after)}, {_apart(total)}")
    if total.difference == 0:
        say("Both change every weight by the same")
        return
    layers, more = first(norms.layers, _MOST_LAYERS, "layers")
    _show_places("LAYER", layers, max((each.sizes.difference or 0.0 for each in norms.layers), default=0.0))
    if more:
        say(more)
    ranked = sorted(norms.modules, key=lambda each: -(each.sizes.difference or 0.0))
    if len(ranked) > len(norms.layers):
        show_heading("The modules that differ most")
        modules, more = first(ranked, _MOST_MODULES, "modules")
        _show_places("MODULE", modules, ranked[0].sizes.difference or 0.0)
        if more:
            say(more)


def norms_document(norms: "Norms") -> Document:
    """Every norm as JSON."""
    return {
        "total": _sizes_document(norms.total),
        "layers": [{"layer": each.name, **_sizes_document(each.sizes)} for each in norms.layers],
        "modules": [{"module": each.name, **_sizes_document(each.sizes)} for each in norms.modules],
    }


def _sizes_document(sizes: "Sizes") -> Document:
    return {
        "before": sizes.before,
        "after": sizes.after,
        "difference": sizes.difference,
        "cosine": sizes.cosine,
    }


def _show_places(title: str, places: "Sequence[Place]", most: float) -> None:
    width = max(_NARROWEST, min(_WIDEST, shown_width() - _BESIDE))
    place = _common([each.name for each in places])
    rows = [
        (
            shortened(each.name.removeprefix(place), 80),
            _number(each.sizes.before),
            _number(each.sizes.after),
            "not comparable" if each.sizes.difference is None else _number(each.sizes.difference),
            bar(each.sizes.difference or 0.0, most, width),
        )
        for each in places
    ]
    heading = f"{title} OF {shortened(place[:-1], 40)}" if place else title
    show_table((heading, "BEFORE", "AFTER", "DIFFERENCE", ""), rows)


def _common(paths: Sequence[str]) -> str:
    """What all paths begin with, to the last dot; empty of a single one.

    >>> _common(["model.layers.1.q", "model.layers.2.q"])
    'model.layers.'
    """
    if len(paths) < 2:
        return ""
    first_path, last_path = min(paths).split("."), max(paths).split(".")
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first_path, last_path, strict=False))
    return "".join(f"{part}." for part, _ in shared)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _apart(sizes: "Sizes") -> str:
    if sizes.difference is None:
        return "not comparable: the shapes of some modules differ"
    cosine = "" if sizes.cosine is None else f", cosine {sizes.cosine:.3f}"
    return f"difference {_number(sizes.difference)}{cosine}"
