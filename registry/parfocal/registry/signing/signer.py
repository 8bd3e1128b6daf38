"""Makes signatures of versions with a private key."""

from dataclasses import dataclass

from parfocal.registry.signing.bundle import Bundle, signed_bytes
from parfocal.registry.signing.keys import PrivateKey
from parfocal.registry.signing.statement import Statement
from parfocal.registry.values import FileEntry


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one key."""

    key: PrivateKey

    def sign(self, name: str, digest: str, files: tuple[FileEntry, ...]) -> bytes:
        """The bundle that signs the version of `name` with this manifest digest and these files."""
        payload = Statement.over(name, digest, files).to_bytes()
        return Bundle(payload, self.key.sign(signed_bytes(payload)), self.key.public.id).to_bytes()
