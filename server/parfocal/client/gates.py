"""The gate of an alias, its rules and what it found, as they are asked about and as they are answered."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from parfocal.client.errors import InvalidRequest
from parfocal.client.moments import read_moment
from parfocal.v1 import adapter_pb2 as pb


@dataclass(frozen=True, slots=True)
class BelowBase:
    """The held-out loss is below the base's by more than `margin`: on a slice of the rows, `*` for each."""

    margin: float = 0.0
    slice: str = ""


@dataclass(frozen=True, slots=True)
class NotAboveCurrent:
    """The held-out loss is at most `margin` above that of the version which the alias points at now."""

    margin: float = 0.0
    slice: str = ""


@dataclass(frozen=True, slots=True)
class MetricAtLeast:
    """A metric is so much or more; with `interval`, one of which no interval is recorded is not enough."""

    metric: str
    limit: float
    slice: str = ""
    interval: bool = False


@dataclass(frozen=True, slots=True)
class MetricAtMost:
    """A metric is so much or less; otherwise as MetricAtLeast."""

    metric: str
    limit: float
    slice: str = ""
    interval: bool = False


@dataclass(frozen=True, slots=True)
class SameBase:
    """The version's base computes what this one computes; `RegistryClient.base_of` gives it."""

    id: str
    contract: pb.BaseContract = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SignedBy:
    """One of these keys, by the names that the registry trusts them under, has signed the version."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """A rule of a kind that this client does not know: it can be shown, and not be set again."""


Rule: TypeAlias = (
    BelowBase | NotAboveCurrent | MetricAtLeast | MetricAtMost | SameBase | SignedBy | UnknownRule
)


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules that a version must meet before an alias moves to it, and who set them."""

    name: str
    alias: str
    rules: tuple[Rule, ...]
    actor: str
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rule, in words, found; `short_by` is None where it is met, or where no number says it."""

    rule: str
    passed: bool
    found: str
    short_by: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found of a version; `current_version` is where the alias points now, 0 for nowhere."""

    version: int
    current_version: int
    passed: bool
    evidence: tuple[Evidence, ...]


def rule_messages(rules: Iterable[Rule]) -> list[pb.GateRule]:
    """The rules as messages; raises InvalidRequest for one that is not known here."""
    return [_rule_message(rule) for rule in rules]


def read_gate(message: pb.Gate) -> Gate:
    """The message as a value."""
    rules, set_at = tuple(map(_read_rule, message.rules)), read_moment(message.update_time)
    return Gate(message.name, message.alias, rules, message.actor, set_at)


def read_verdict(message: pb.GateVerdict) -> Verdict:
    """The message as a value."""
    evidence = tuple(
        Evidence(each.rule, each.passed, each.found, each.short_by if each.HasField("short_by") else None)
        for each in message.evidence
    )
    return Verdict(message.version, message.current_version, message.passed, evidence)


def _rule_message(rule: Rule) -> pb.GateRule:
    match rule:
        case BelowBase(margin, part):
            return pb.GateRule(below_base=pb.LossBelowBase(margin=margin, slice=part))
        case NotAboveCurrent(margin, part):
            return pb.GateRule(not_above_current=pb.LossNotAboveCurrent(margin=margin, slice=part))
        case MetricAtLeast():
            return _bound(rule, pb.BOUND_SIDE_AT_LEAST)
        case MetricAtMost():
            return _bound(rule, pb.BOUND_SIDE_AT_MOST)
        case SameBase():
            return pb.GateRule(same_base=rule.contract)
        case SignedBy(keys):
            return pb.GateRule(signed_by=pb.SignedByAny(keys=keys))
        case UnknownRule():
            raise InvalidRequest(
                "the gate has a rule that this client does not know; set it with a newer one", field="rules"
            )


def _bound(rule: MetricAtLeast | MetricAtMost, side: pb.BoundSide.ValueType) -> pb.GateRule:
    bound = pb.MetricBound(metric=rule.metric, side=side, limit=rule.limit, slice=rule.slice)
    bound.interval = rule.interval
    return pb.GateRule(bound=bound)


def _read_rule(message: pb.GateRule) -> Rule:
    match message.WhichOneof("rule"):
        case "below_base":
            return BelowBase(message.below_base.margin, message.below_base.slice)
        case "not_above_current":
            return NotAboveCurrent(message.not_above_current.margin, message.not_above_current.slice)
        case "bound":
            return _read_bound(message.bound)
        case "same_base":
            return SameBase(message.same_base.id, message.same_base)
        case "signed_by":
            return SignedBy(tuple(message.signed_by.keys))
        case _:
            return UnknownRule()


def _read_bound(bound: pb.MetricBound) -> Rule:
    if bound.side == pb.BOUND_SIDE_AT_LEAST:
        return MetricAtLeast(bound.metric, bound.limit, bound.slice, bound.interval)
    if bound.side == pb.BOUND_SIDE_AT_MOST:
        return MetricAtMost(bound.metric, bound.limit, bound.slice, bound.interval)
    return UnknownRule()
