"""The demo: a tour from data to a hot swap, on the embedded base, through the public API only."""

from parfocal.cli.demonstration.figures import metrics_url
from parfocal.cli.demonstration.lessons import full_lessons
from parfocal.cli.demonstration.stage import Stage
from parfocal.cli.demonstration.tour import Tour
from parfocal.cli.demonstration.watching import StepBar

__all__ = [
    "Stage",
    "StepBar",
    "Tour",
    "full_lessons",
    "metrics_url",
]
