"""Ways to follow a run: a bar and a chart on a terminal, lines, events for programs, trackers. No torch."""

from parfocal.training.watching.bar import BarWatcher
from parfocal.training.watching.chart import draw_chart
from parfocal.training.watching.events import EventWatcher
from parfocal.training.watching.following import followed
from parfocal.training.watching.plain import PlainWatcher
from parfocal.training.watching.several import Several
from parfocal.training.watching.trackers import TrackingWatcher, check_trackers, trackers_of

__all__ = [
    "BarWatcher",
    "EventWatcher",
    "PlainWatcher",
    "Several",
    "TrackingWatcher",
    "check_trackers",
    "draw_chart",
    "followed",
    "trackers_of",
]
