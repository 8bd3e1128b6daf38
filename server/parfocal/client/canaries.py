"""A second version of an alias, as it is asked about and as it is answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from parfocal.client.errors import InvalidRequest
from parfocal.client.moments import read_moment
from parfocal.v1 import adapter_pb2 as pb

GuardedMetric: TypeAlias = Literal["errors", "ttft", "tokens"]

_METRICS: dict[GuardedMetric, pb.CanaryMetric.ValueType] = {
    "errors": pb.CANARY_METRIC_ERRORS,
    "ttft": pb.CANARY_METRIC_TTFT,
    "tokens": pb.CANARY_METRIC_TOKENS,
}
_NAMES = {number: name for name, number in _METRICS.items()}
_HUNDREDTHS = 100


@dataclass(frozen=True, slots=True)
class CanaryGuard:
    """Aborts a canary that is worse, chance excluded, by more than `margin`.

    Of errors that is a difference of shares, of the time to the first token and the tokens of an answer a
    relative one. Nothing is judged before each version has `samples` requests; 0 means the usual number.
    """

    metric: GuardedMetric
    margin: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Canary:
    """A second version, and its share of an alias's requests, in percent; `number` tells it from others.

    Guards of metrics that this client does not know are left out of `guards`.
    """

    version: int
    digest: str
    weight_percent: float
    actor: str
    begun_at: datetime
    number: int = 0
    guards: tuple[CanaryGuard, ...] = ()


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """What a canary is to be: a version, its share of the requests in percent, and what aborts it."""

    version: int
    weight_percent: float
    guards: tuple[CanaryGuard, ...] = ()


def read_canary(message: pb.Canary) -> Canary:
    """The message as a value."""
    return Canary(
        message.version,
        message.digest,
        message.weight / _HUNDREDTHS,
        message.actor,
        read_moment(message.begin_time),
        message.number,
        tuple(
            CanaryGuard(_NAMES[each.metric], each.margin, each.samples)
            for each in message.guards
            if each.metric in _NAMES
        ),
    )


def guard_messages(guards: Iterable[CanaryGuard]) -> list[pb.CanaryGuard]:
    """The guards as messages; raises InvalidRequest."""
    return [_guard_message(each) for each in guards]


def weight_of(percent: float) -> int:
    """A share as messages have it, in hundredths of a percent; raises InvalidRequest.

    >>> weight_of(2.5)
    250
    """
    weight = round(percent * _HUNDREDTHS) if 0 < percent < 100 else 0
    if not 0 < weight < 100 * _HUNDREDTHS or abs(weight - percent * _HUNDREDTHS) > 1e-6:
        raise InvalidRequest(
            f"weight_percent is {percent!r}; give 0.01 to 99.99, with at most two digits after the point",
            field="weight",
        )
    return weight


def _guard_message(guard: CanaryGuard) -> pb.CanaryGuard:
    if guard.metric not in _METRICS:
        raise InvalidRequest(
            f"a guard is of {guard.metric!r:.80}; give one of {', '.join(_METRICS)}", field="guards.metric"
        )
    return pb.CanaryGuard(metric=_METRICS[guard.metric], margin=guard.margin, samples=guard.samples)
