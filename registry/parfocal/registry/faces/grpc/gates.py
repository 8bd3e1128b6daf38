"""The gates of aliases over gRPC, as messages. Knows messages, and waits for the registry."""

from parfocal.registry.faces.sight import signed
from parfocal.registry.gates import Override
from parfocal.registry.registry import Registry
from parfocal.registry.values import Alias
from parfocal.registry.wire import gate_message, read_comparisons, read_plan, read_rules, verdict_message
from parfocal.rpc.access import Caller, Need
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.access import Verb


class Gates:
    """The gates that a registry keeps, and the moves of aliases through them; each call blocks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def move(self, request: pb.SetAliasRequest, caller: Caller) -> Alias:
        """Points an alias at a version; raises ScopeMissing where its gate is not theirs to override."""
        return self._registry.move_alias(
            request.name, request.alias, request.version, _override(request, caller)
        )

    def begin_canary(self, request: pb.SetCanaryRequest, caller: Caller) -> Alias:
        """Gives a share of an alias's requests to a second version; raises ScopeMissing likewise."""
        plan = read_plan(request.version, request.weight, request.guards)
        return self._registry.set_canary(request.name, request.alias, plan, _override(request, caller))

    def abort_canary(self, request: pb.AbortCanaryRequest, caller: Caller) -> Alias:
        """Gives all requests of an alias to the version that it points at."""
        actor, found = signed(request.actor, caller), read_comparisons(request.comparisons)
        return self._registry.abort_canary(request.name, request.alias, request.expected_canary, actor, found)

    def get(self, request: pb.GetGateRequest) -> adapter_pb2.Gate:
        return gate_message(self._registry.gate(request.name, request.alias))

    def set(self, request: pb.SetGateRequest, caller: Caller) -> adapter_pb2.Gate:
        gate, actor = read_rules(request.rules), signed(request.actor, caller)
        return gate_message(self._registry.set_gate(request.name, request.alias, gate, actor))

    def clear(self, request: pb.ClearGateRequest, caller: Caller) -> None:
        self._registry.clear_gate(request.name, request.alias, signed(request.actor, caller))

    def check(self, request: pb.CheckGateRequest) -> adapter_pb2.GateVerdict:
        verdict = self._registry.check_gate(request.name, request.alias, request.version)
        return verdict_message(verdict)


def _override(request: pb.SetAliasRequest | pb.SetCanaryRequest, caller: Caller) -> Override:
    """What is expected, and why the gate is overridden; raises ScopeMissing where that is not theirs."""
    if request.override_reason:
        caller.check(Need(Verb.ADMIN, request.name))
    return Override(
        request.override_reason,
        signed(request.actor, caller),
        request.expected_version if request.HasField("expected_version") else None,
        request.expected_canary if request.HasField("expected_canary") else None,
    )
