"""Canaries, their guards and what these found as messages, and back. Knows no service."""

from collections.abc import Iterable, Sequence

from parfocal.registry.errors import InvalidCanary, ReplyRefused
from parfocal.registry.values import Canary, CanaryComparison, CanaryPlan, Guard, GuardedMetric
from parfocal.registry.values.canaries import USUAL_SAMPLES
from parfocal.registry.wire.filters import timestamp
from parfocal.registry.wire.moments import read_moment
from parfocal.v1 import adapter_pb2 as pb

_METRICS = {
    GuardedMetric.ERRORS: pb.CANARY_METRIC_ERRORS,
    GuardedMetric.TTFT: pb.CANARY_METRIC_TTFT,
    GuardedMetric.TOKENS: pb.CANARY_METRIC_TOKENS,
}
_READ_METRICS: dict[int, GuardedMetric] = {number: metric for metric, number in _METRICS.items()}


def canary_message(canary: Canary) -> pb.Canary:
    """A canary that runs."""
    return pb.Canary(
        version=canary.version,
        digest=canary.digest,
        weight=canary.weight,
        guards=guard_messages(canary.plan.guards),
        number=canary.number,
        actor=canary.actor,
        begin_time=timestamp(canary.begun_at),
        alias=canary.alias,
    )


def read_canary(message: pb.Canary, name: str) -> Canary:
    """A canary of the adapter `name`; raises ReplyRefused."""
    try:
        plan = read_plan(message.version, message.weight, message.guards)
    except InvalidCanary as error:
        raise ReplyRefused(
            f"the registry sent a canary that no alias can have ({error}); nothing of it was used"
        ) from error
    moment = read_moment(message.begin_time)
    return Canary(name, message.alias, plan, message.digest, message.number, message.actor, moment)


def read_plan(version: int, weight: int, guards: Sequence[pb.CanaryGuard]) -> CanaryPlan:
    """What is wanted of a canary; raises InvalidCanary."""
    if len(guards) > len(_METRICS):
        raise InvalidCanary(f"a canary has {len(guards)} guards; at most one for each metric", field="guards")
    return CanaryPlan(version, weight, tuple(map(_read_guard, guards)))


def guard_messages(guards: Iterable[Guard]) -> list[pb.CanaryGuard]:
    """What aborts a canary."""
    return [
        pb.CanaryGuard(metric=_METRICS[each.metric], margin=each.margin, samples=each.samples)
        for each in guards
    ]


def comparison_messages(found: Iterable[CanaryComparison]) -> list[pb.CanaryComparison]:
    """What guards found."""
    return [
        pb.CanaryComparison(
            metric=_METRICS[each.metric],
            margin=each.margin,
            confidence=each.confidence,
            canary_requests=each.canary_requests,
            stable_requests=each.stable_requests,
            canary_value=each.canary_value,
            stable_value=each.stable_value,
            difference=each.difference,
            low=each.low,
            high=each.high,
        )
        for each in found
    ]


def read_comparisons(messages: Iterable[pb.CanaryComparison]) -> tuple[CanaryComparison, ...]:
    """What guards found; raises InvalidCanary."""
    return tuple(
        CanaryComparison(
            _metric(each.metric),
            each.margin,
            each.confidence,
            each.canary_requests,
            each.stable_requests,
            each.canary_value,
            each.stable_value,
            each.difference,
            each.low,
            each.high,
        )
        for each in messages
    )


def _read_guard(message: pb.CanaryGuard) -> Guard:
    return Guard(_metric(message.metric), message.margin, message.samples or USUAL_SAMPLES)


def _metric(number: int) -> GuardedMetric:
    if number not in _READ_METRICS:
        raise InvalidCanary("the metric of a guard is unset or unknown", field="guards.metric")
    return _READ_METRICS[number]
