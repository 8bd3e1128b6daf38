"""What was measured of models beside each other: figures with intervals, and what is recorded. No torch."""

from parfocal.training.figures.building import figures_of, mean_figure
from parfocal.training.figures.evaluated import (
    Arm,
    Continued,
    Evaluated,
    Figure,
    Item,
    Measured,
    PairOfTexts,
    ProbeText,
    RowScore,
    Written,
)
from parfocal.training.figures.marking import marked_figures
from parfocal.training.figures.nearest import Neighbour, TrainingText, nearest, neighbours
from parfocal.training.figures.probing import pair_figures, probe_figures
from parfocal.training.figures.recorded import MOST, recorded, recorded_beside_parent
from parfocal.training.figures.telling import (
    change_text,
    continued_lines,
    difference_text,
    interval_text,
    lines,
    shown_figures,
    title,
    value_text,
    verdict_lines,
)

__all__ = [
    "MOST",
    "Arm",
    "Continued",
    "Evaluated",
    "Figure",
    "Item",
    "Measured",
    "Neighbour",
    "PairOfTexts",
    "ProbeText",
    "RowScore",
    "TrainingText",
    "Written",
    "change_text",
    "continued_lines",
    "difference_text",
    "figures_of",
    "interval_text",
    "lines",
    "marked_figures",
    "mean_figure",
    "nearest",
    "neighbours",
    "pair_figures",
    "probe_figures",
    "recorded",
    "recorded_beside_parent",
    "shown_figures",
    "title",
    "value_text",
    "verdict_lines",
]
