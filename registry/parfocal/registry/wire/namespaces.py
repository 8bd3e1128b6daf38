"""What namespaces hold as messages, and back. Knows no service."""

from parfocal.registry.quotas import NamespaceUse, Quota
from parfocal.v1 import registry_service_pb2 as pb


def namespace_message(held: NamespaceUse) -> pb.Namespace:
    """What a namespace holds and may hold."""
    return pb.Namespace(
        name=held.namespace,
        adapter_count=held.adapters,
        version_count=held.versions,
        size_bytes=held.size_bytes,
        max_versions=held.quota.max_versions,
        max_bytes=held.quota.max_bytes,
    )


def read_namespace(message: pb.Namespace) -> NamespaceUse:
    """What a namespace holds and may hold."""
    quota = Quota(
        message.max_bytes if message.HasField("max_bytes") else None,
        message.max_versions if message.HasField("max_versions") else None,
    )
    return NamespaceUse(message.name, message.adapter_count, message.version_count, message.size_bytes, quota)
