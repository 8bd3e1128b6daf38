"""The gates of aliases over gRPC, as messages. Knows messages, and waits for the registry."""

from parfocal.registry.faces.sight import signed
from parfocal.registry.gates import Override
from parfocal.registry.registry import Registry
from parfocal.registry.values import Alias
from parfocal.registry.wire import gate_message, read_rules, verdict_message
from parfocal.rpc.access import Caller, Need
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.access import Verb


class Gates:
    """The gates that a registry keeps, and the moves of aliases through them; each call blocks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def move(self, request: pb.SetAliasRequest, expected: int | None, caller: Caller) -> Alias:
        """Points an alias at a version; raises ScopeMissing where its gate is not theirs to override."""
        name, alias, version = request.name, request.alias, request.version
        actor = signed(request.actor, caller)
        if not request.override_reason:
            return self._registry.set_alias(name, alias, version, expected, actor)
        caller.check(Need(Verb.ADMIN, name))
        override = Override(request.override_reason, actor, expected)
        return self._registry.override_gate(name, alias, version, override)

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
