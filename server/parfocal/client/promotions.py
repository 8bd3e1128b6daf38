"""The rpcs that let an alias move: what is sent where for gates, canaries and signatures. Calls none."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty

from parfocal.client.answers import Alias, Signature, read_alias, read_signature
from parfocal.client.calling import Rpc
from parfocal.client.canaries import CanaryPlan, guard_messages, weight_of
from parfocal.client.errors import AliasNotFound, CanaryNotFound
from parfocal.client.gates import Gate, Rule, SameBase, Verdict, read_gate, read_verdict, rule_messages
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

_REGISTRY = "/parfocal.v1.RegistryService"


@dataclass(frozen=True, slots=True)
class Move:
    """Who moves an alias, from where, and for which reason though its gate refuses; None is anywhere."""

    actor: str = ""
    expected_version: int | None = None
    expected_canary: int | None = None
    override_reason: str = ""


def set_alias(name: str, alias: str, version: int, move: Move) -> Rpc[adapter_pb2.Alias, Alias]:
    """Points an alias at a version."""
    request = pb.SetAliasRequest(
        name=name,
        alias=alias,
        version=version,
        expected_version=move.expected_version,
        actor=move.actor,
        override_reason=move.override_reason,
        expected_canary=move.expected_canary,
    )
    return Rpc(f"{_REGISTRY}/SetAlias", request, adapter_pb2.Alias, read_alias, is_repeatable=False)


def one_alias(name: str, alias: str) -> Rpc[pb.ListAliasesResponse, Alias]:
    """An alias and its canary."""

    def read(reply: pb.ListAliasesResponse) -> Alias:
        for each in reply.aliases:
            if each.alias == alias:
                return read_alias(each)
        raise AliasNotFound(f"adapter {name!r} has no alias {alias[:80]!a}", field="alias")

    request = pb.ListAliasesRequest(name=name, alias=alias)
    return Rpc(f"{_REGISTRY}/ListAliases", request, pb.ListAliasesResponse, read)


def set_canary(name: str, alias: str, plan: CanaryPlan, move: Move) -> Rpc[adapter_pb2.Alias, Alias]:
    """Gives a share of an alias's requests to a second version."""
    request = pb.SetCanaryRequest(
        name=name,
        alias=alias,
        version=plan.version,
        weight=weight_of(plan.weight_percent),
        guards=guard_messages(plan.guards),
        expected_version=move.expected_version,
        expected_canary=move.expected_canary,
        actor=move.actor,
        override_reason=move.override_reason,
    )
    return Rpc(f"{_REGISTRY}/SetCanary", request, adapter_pb2.Alias, read_alias, is_repeatable=False)


def promote_canary(seen: Alias, actor: str) -> Rpc[adapter_pb2.Alias, Alias]:
    """Points an alias at its canary's version, if both are as they were seen; raises NotFound without one."""
    number = _canary_number(seen)
    assert seen.canary is not None
    return set_alias(seen.name, seen.alias, seen.canary.version, Move(actor, seen.version, number))


def abort_canary(seen: Alias, actor: str) -> Rpc[adapter_pb2.Alias, Alias]:
    """Gives all requests to the version that an alias points at; raises NotFound without a canary."""
    request = pb.AbortCanaryRequest(
        name=seen.name, alias=seen.alias, expected_canary=_canary_number(seen), actor=actor
    )
    return Rpc(f"{_REGISTRY}/AbortCanary", request, adapter_pb2.Alias, read_alias, is_repeatable=False)


def gate(name: str, alias: str) -> Rpc[adapter_pb2.Gate, Gate]:
    """The gate of an alias."""
    request = pb.GetGateRequest(name=name, alias=alias)
    return Rpc(f"{_REGISTRY}/GetGate", request, adapter_pb2.Gate, read_gate)


def set_gate(name: str, alias: str, rules: Iterable[Rule], actor: str) -> Rpc[adapter_pb2.Gate, Gate]:
    """Gives an alias a gate."""
    request = pb.SetGateRequest(name=name, alias=alias, rules=rule_messages(rules), actor=actor)
    return Rpc(f"{_REGISTRY}/SetGate", request, adapter_pb2.Gate, read_gate, is_repeatable=False)


def clear_gate(name: str, alias: str, actor: str) -> Rpc[Empty, None]:
    """Takes an alias's gate away."""
    request = pb.ClearGateRequest(name=name, alias=alias, actor=actor)
    return Rpc(f"{_REGISTRY}/ClearGate", request, Empty, lambda reply: None, is_repeatable=False)


def check_gate(name: str, alias: str, version: int) -> Rpc[adapter_pb2.GateVerdict, Verdict]:
    """What a gate finds of a version."""
    request = pb.CheckGateRequest(name=name, alias=alias, version=version)
    return Rpc(f"{_REGISTRY}/CheckGate", request, adapter_pb2.GateVerdict, read_verdict)


def base_of(reference: str) -> Rpc[adapter_pb2.Version, SameBase]:
    """The base of a version, as a rule."""

    def read(reply: adapter_pb2.Version) -> SameBase:
        base = reply.manifest.contract.base
        return SameBase(base.id, base)

    request = pb.ResolveAdapterRequest(reference=reference)
    return Rpc(f"{_REGISTRY}/ResolveAdapter", request, adapter_pb2.Version, read)


def signatures(name: str, version: int) -> Rpc[pb.ListSignaturesResponse, tuple[Signature, ...]]:
    """The signatures of a version."""
    request = pb.ListSignaturesRequest(name=name, version=version)

    def read(reply: pb.ListSignaturesResponse) -> tuple[Signature, ...]:
        return tuple(map(read_signature, reply.signatures))

    return Rpc(f"{_REGISTRY}/ListSignatures", request, pb.ListSignaturesResponse, read)


def _canary_number(seen: Alias) -> int:
    if seen.canary is None:
        raise CanaryNotFound(f"{seen.name}@{seen.alias} has no canary; see what it has with registry.alias()")
    return seen.canary.number
