"""The registry on the wire: its values as messages of `parfocal.v1`, and back. Knows no storage."""

from parfocal.registry.wire.canaries import (
    comparison_messages,
    guard_messages,
    read_comparisons,
    read_plan,
)
from parfocal.registry.wire.errors import registry_errors
from parfocal.registry.wire.events import event_message, read_event
from parfocal.registry.wire.filters import (
    fields_set,
    filter_message,
    read_filter,
    read_move_filter,
    timestamp,
)
from parfocal.registry.wire.gates import (
    gate_message,
    read_gate,
    read_rules,
    read_verdict,
    rule_messages,
    verdict_message,
)
from parfocal.registry.wire.manifest_fields import ManifestFields
from parfocal.registry.wire.messages import (
    adapter_message,
    alias_message,
    base_message,
    evaluation_message,
    file_message,
    move_message,
    provenance_message,
    rendering_message,
    signature_message,
    version_message,
)
from parfocal.registry.wire.namespaces import namespace_message, read_namespace
from parfocal.registry.wire.publication import read_publication
from parfocal.registry.wire.reading import (
    read_adapter,
    read_alias,
    read_base,
    read_evaluation,
    read_file,
    read_listed,
    read_move,
    read_provenance,
    read_rendering,
    read_signature,
    read_version,
)
from parfocal.registry.wire.written import first_of_download_bytes, version_bytes, versions_bytes

__all__ = [
    "ManifestFields",
    "adapter_message",
    "alias_message",
    "base_message",
    "comparison_messages",
    "evaluation_message",
    "event_message",
    "fields_set",
    "file_message",
    "filter_message",
    "first_of_download_bytes",
    "gate_message",
    "guard_messages",
    "move_message",
    "namespace_message",
    "provenance_message",
    "read_adapter",
    "read_alias",
    "read_base",
    "read_comparisons",
    "read_evaluation",
    "read_event",
    "read_file",
    "read_filter",
    "read_gate",
    "read_listed",
    "read_move",
    "read_move_filter",
    "read_namespace",
    "read_plan",
    "read_provenance",
    "read_publication",
    "read_rendering",
    "read_rules",
    "read_signature",
    "read_verdict",
    "read_version",
    "registry_errors",
    "rendering_message",
    "rule_messages",
    "signature_message",
    "timestamp",
    "verdict_message",
    "version_bytes",
    "version_message",
    "versions_bytes",
]
