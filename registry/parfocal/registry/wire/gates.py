"""Gates, their rules and what they found as messages, and back. Knows no service."""

from collections.abc import Sequence

from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates import (
    BelowBase,
    Bound,
    Evidence,
    Gate,
    NotAboveCurrent,
    Rule,
    SameBase,
    Side,
    SignedBy,
    StandingGate,
    Verdict,
)
from parfocal.registry.wire.filters import timestamp
from parfocal.registry.wire.messages import base_message
from parfocal.registry.wire.moments import read_moment
from parfocal.registry.wire.reading import read_base
from parfocal.v1 import adapter_pb2 as pb

_SIDES = {Side.AT_LEAST: pb.BOUND_SIDE_AT_LEAST, Side.AT_MOST: pb.BOUND_SIDE_AT_MOST}
_READ_SIDES: dict[int, Side] = {number: side for side, number in _SIDES.items()}


def gate_message(standing: StandingGate) -> pb.Gate:
    """The gate of an alias."""
    return pb.Gate(
        name=standing.name,
        alias=standing.alias,
        rules=rule_messages(standing.gate),
        actor=standing.actor,
        update_time=timestamp(standing.set_at),
    )


def rule_messages(gate: Gate) -> list[pb.GateRule]:
    """The rules of a gate."""
    return [_rule_message(rule) for rule in gate.rules]


def read_gate(message: pb.Gate) -> StandingGate:
    """The gate of an alias; raises InvalidArgument or ReplyRefused."""
    moment = read_moment(message.update_time)
    return StandingGate(message.name, message.alias, read_rules(message.rules), message.actor, moment)


def read_rules(messages: Sequence[pb.GateRule]) -> Gate:
    """The gate that has these rules; raises InvalidGate, InvalidPublication or InvalidDigest."""
    return Gate(tuple(map(_read_rule, messages)))


def verdict_message(verdict: Verdict) -> pb.GateVerdict:
    """What a gate found."""
    return pb.GateVerdict(
        version=verdict.version,
        current_version=verdict.current,
        passed=verdict.passed,
        evidence=[
            pb.GateEvidence(rule=each.rule, passed=each.passed, found=each.found, short_by=each.short_by)
            for each in verdict.evidence
        ],
    )


def read_verdict(message: pb.GateVerdict) -> Verdict:
    """What a gate found, as a registry says."""
    evidence = (
        Evidence(each.rule, each.passed, each.found, each.short_by if each.HasField("short_by") else None)
        for each in message.evidence
    )
    return Verdict(message.version, message.current_version, tuple(evidence))


def _rule_message(rule: Rule) -> pb.GateRule:
    match rule:
        case BelowBase():
            return pb.GateRule(below_base=pb.LossBelowBase(margin=rule.margin, slice=rule.slice))
        case NotAboveCurrent():
            margin, slice_name = rule.margin, rule.slice
            return pb.GateRule(not_above_current=pb.LossNotAboveCurrent(margin=margin, slice=slice_name))
        case Bound():
            bound = pb.MetricBound(
                metric=rule.metric,
                side=_SIDES[rule.side],
                limit=rule.limit,
                slice=rule.slice,
                interval=rule.interval,
            )
            return pb.GateRule(bound=bound)
        case SameBase():
            return pb.GateRule(same_base=base_message(rule.base))
        case SignedBy():
            return pb.GateRule(signed_by=pb.SignedByAny(keys=rule.keys))


def _read_rule(message: pb.GateRule) -> Rule:
    match message.WhichOneof("rule"):
        case "below_base":
            return BelowBase(message.below_base.margin, message.below_base.slice)
        case "not_above_current":
            return NotAboveCurrent(message.not_above_current.margin, message.not_above_current.slice)
        case "bound":
            return _read_bound(message.bound)
        case "same_base":
            return SameBase(read_base(message.same_base))
        case "signed_by":
            return SignedBy(tuple(message.signed_by.keys))
        case _:
            raise InvalidGate("a rule is unset, or of a kind that is not known here", field="rules")


def _read_bound(message: pb.MetricBound) -> Bound:
    if message.side not in _READ_SIDES:
        raise InvalidGate("the side of a bound is unset or unknown; use at least or at most", field="rules")
    side = _READ_SIDES[message.side]
    return Bound(message.metric, side, message.limit, message.slice, message.interval)
