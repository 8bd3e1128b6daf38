"""Ways to follow a run or a search: a bar and a chart, lines, events for programs, trackers. No torch."""

from parfocal.training.watching.bar import BarWatcher
from parfocal.training.watching.chart import draw_chart
from parfocal.training.watching.events import EventWatcher
from parfocal.training.watching.following import followed
from parfocal.training.watching.plain import PlainWatcher
from parfocal.training.watching.searching import (
    BarSearchWatcher,
    PlainSearchWatcher,
    followed_search,
    trial_watcher,
)
from parfocal.training.watching.several import Several
from parfocal.training.watching.trackers import TrackingWatcher, check_trackers, trackers_of

__all__ = [
    "BarSearchWatcher",
    "BarWatcher",
    "EventWatcher",
    "PlainSearchWatcher",
    "PlainWatcher",
    "Several",
    "TrackingWatcher",
    "check_trackers",
    "draw_chart",
    "followed",
    "followed_search",
    "trackers_of",
    "trial_watcher",
]
