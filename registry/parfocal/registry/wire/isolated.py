"""The process in which large manifests become fields of messages, started by `ManifestFields`."""

from parfocal.registry.errors import InvalidManifest, RegistryTooNew
from parfocal.registry.isolation import answer_questions
from parfocal.registry.values import Manifest
from parfocal.registry.wire.messages import manifest_message


def answer(manifest: bytes) -> bytes:
    """The bytes of the message; none for what is no manifest, or has a number that fits no field."""
    try:
        return manifest_message(Manifest.from_bytes(manifest)).SerializeToString()
    except (InvalidManifest, RegistryTooNew, ValueError):
        return b""


if __name__ == "__main__":
    answer_questions(answer)
