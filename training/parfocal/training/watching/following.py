"""Who follows a run: its caller's watcher, and what its settings name besides."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.runs import Watcher
from parfocal.training.watching.events import STANDARD_OUTPUT, EventWatcher, open_events
from parfocal.training.watching.several import Several
from parfocal.training.watching.trackers import trackers_of

Tell = Callable[[Mapping[str, JSON]], None]


@contextmanager
def followed(config: TrainConfig, watcher: Watcher) -> Iterator[tuple[Watcher, Tell]]:
    """Yields who is told of the run, and what to tell its result to; a failure that passes is told too.

    Raises:
        InvalidConfig: the file for events cannot be written, or a tracker is unknown or not installed.
    """
    with ExitStack() as opened:
        watchers: list[Watcher] = [watcher]
        for tracker in trackers_of(config.track, config.name, config.to_json()):
            opened.callback(tracker.close)
            watchers.append(tracker)
        if config.events is None:
            yield Several(watchers), lambda result: None
            return
        stream = open_events(config.events)
        if config.events != STANDARD_OUTPUT:
            opened.callback(stream.close)
        events = EventWatcher(stream)
        try:
            yield Several([*watchers, events]), events.ended
        except BaseException as error:
            events.failed(error)
            raise
