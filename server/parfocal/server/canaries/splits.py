"""The canaries that a server answers for: which version a request gets, and how both do."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from parfocal.registry import Canary, CanaryComparison
from parfocal.server.canaries.measured import Ended, Measured, compared

log = logging.getLogger(__name__)

# A canary that nobody asks for any more is forgotten when so many others are.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Arm:
    """Which of an alias's two versions a request got: the canary's, or the `stable` one."""

    canary: Canary
    stable: int
    is_canary: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A canary as it is now, for metrics. `is_held` where it is worse, and gets nothing here any more."""

    canary: Canary
    stable_version: int
    measured: Measured
    stable: Measured
    found: tuple[CanaryComparison, ...]
    is_held: bool


@dataclass(slots=True)
class _Split:
    canary: Canary
    stable_version: int
    measured: Measured = field(default_factory=Measured)
    stable: Measured = field(default_factory=Measured)
    held: tuple[CanaryComparison, ...] = ()


class Splits:
    """Knows each canary by the number of the event that began it. Any thread may call.

    `worse` is told, once, of a canary that a guard has found worse; from then on it gets no request here,
    whatever becomes of the registry.
    """

    def __init__(self, worse: Callable[[Canary, tuple[CanaryComparison, ...]], None]) -> None:
        self._worse = worse
        self._splits: OrderedDict[tuple[str, str, int], _Split] = OrderedDict()
        self._lock = threading.Lock()

    def arm(self, canary: Canary, stable: int, key: str) -> Arm:
        """Which version the request with this key gets, where the alias points at version `stable`."""
        with self._lock:
            split = self._split(canary, stable)
            held = bool(split.held)
        return Arm(canary, stable, not held and canary.takes(key))

    def ended(self, arm: Arm, ended: Ended) -> None:
        """Takes how a request ended; of a canary that is over, nothing."""
        with self._lock:
            split = self._splits.get(_key(arm.canary))
            if split is None:  # of a canary that another has replaced
                return
            (split.measured if arm.is_canary else split.stable).add(ended)
            if split.held:
                return
            found = compared(split.measured, split.stable, arm.canary.plan.guards)
            split.held = tuple(each for each in found if each.is_worse)
            held = split.held
        if held:
            log.error(
                "the canary %s of %s@%s is worse, and gets no request here any more: %s",
                arm.canary, arm.canary.name, arm.canary.alias, "; ".join(map(str, held)),
            )  # fmt: skip
            self._worse(arm.canary, held)

    def shown(self) -> Sequence[Shown]:
        """Every canary that got requests, the last asked for first."""
        with self._lock:
            return [
                Shown(
                    each.canary,
                    each.stable_version,
                    each.measured,
                    each.stable,
                    compared(each.measured, each.stable, each.canary.plan.guards),
                    bool(each.held),
                )
                for each in reversed(self._splits.values())
            ]

    def _split(self, canary: Canary, stable: int) -> _Split:
        key = _key(canary)
        split = self._splits.get(key)
        if split is None:
            self._forget(canary)
            split = self._splits[key] = _Split(canary, stable)
        self._splits.move_to_end(key)
        return split

    def _forget(self, canary: Canary) -> None:
        """Makes room; an alias has one canary at a time."""
        place = (canary.name, canary.alias)
        for key in [each for each in self._splits if each[:2] == place and each[2] < canary.number]:
            del self._splits[key]
        while len(self._splits) >= _MOST:
            self._splits.popitem(last=False)


def _key(canary: Canary) -> tuple[str, str, int]:
    return canary.name, canary.alias, canary.number
