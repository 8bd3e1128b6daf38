"""Keys that sign and verify, in PEM: Ed25519, and ECDSA on the curve P-256. Computes nothing by itself.

All of it is done by `cryptography`, which takes a moment to import: only whoever signs or verifies pays.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from parfocal.registry.errors import InvalidKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

    _Public: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
    _Private: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

_CURVE = "secp256r1"
_MOST_BYTES = 64 << 10
_PRIVATE, _PUBLIC = b"PRIVATE KEY-----", b"PUBLIC KEY-----"
_KINDS = "an Ed25519 key or an ECDSA key on P-256"


class Algorithm(StrEnum):
    """How a key signs. ECDSA takes the SHA-256 of what is signed."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are verified with. `id` is the sha256 of its PEM, as model signing has it."""

    algorithm: Algorithm
    id: str
    _key: "_Public" = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, data: bytes) -> "PublicKey":
        """The key in PEM; raises InvalidKey."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            return cls._of(load_pem_public_key(_bounded(data)))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKey(f"no public key in PEM{_instead(data, _PUBLIC, error)}") from error

    @classmethod
    def from_text(cls, text: str) -> "PublicKey":
        """The key in one line: the base64 that PEM has between its borders; raises InvalidKey."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        try:
            return cls._of(load_der_public_key(base64.b64decode(text[:_MOST_BYTES], validate=True)))
        except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
            raise InvalidKey(f"no public key in base64: {_first_line(error)}") from error

    def to_pem(self) -> bytes:
        """The key in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def to_text(self) -> str:
        """The key in one line."""
        return "".join(self.to_pem().decode().splitlines()[1:-1])

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether this key's private half has signed `data`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    @classmethod
    def _of(cls, key: "PublicKeyTypes") -> "PublicKey":
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if isinstance(key, ed25519.Ed25519PublicKey):
            algorithm = Algorithm.ED25519
        elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVE:
            algorithm = Algorithm.ECDSA_P256
        else:
            raise InvalidKey(f"{_kind_of(key)} makes no signatures that are read; give {_KINDS}")
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(algorithm, hashlib.sha256(pem).hexdigest(), key)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs."""

    public: PublicKey
    _key: "_Private" = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, data: bytes, passphrase: str | None = None) -> "PrivateKey":
        """The key in PEM; raises InvalidKey, with the field `passphrase` where one is needed, or is wrong."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        secret = None if passphrase is None else passphrase.encode()
        try:
            found = load_pem_private_key(_bounded(data), secret)
        except TypeError as error:
            if secret is not None:  # none is needed here
                return cls.from_pem(data)
            raise InvalidKey(
                "the private key is encrypted; give its passphrase", field="passphrase"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            told = "passphrase" if secret else "key"
            raise InvalidKey(f"no private key in PEM{_instead(data, _PRIVATE, error)}", field=told) from error
        return cls._of(found)

    @classmethod
    def generate(cls, algorithm: Algorithm) -> "PrivateKey":
        """A new key."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if algorithm is Algorithm.ED25519:
            return cls._of(ed25519.Ed25519PrivateKey.generate())
        return cls._of(ec.generate_private_key(ec.SECP256R1()))

    def to_pem(self, passphrase: str | None = None) -> bytes:
        """The key in PEM (PKCS #8), encrypted where there is a passphrase."""
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        secret = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    @classmethod
    def _of(cls, key: "PrivateKeyTypes") -> "PrivateKey":
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise InvalidKey(f"{_kind_of(key)} does not sign; give {_KINDS}", field="key")
        return cls(PublicKey._of(key.public_key()), key)


def _bounded(data: bytes) -> bytes:
    if len(data) > _MOST_BYTES:
        raise InvalidKey(f"a key of {len(data)} bytes; at most {_MOST_BYTES} are read")
    return data


def _instead(data: bytes, wanted: bytes, error: Exception) -> str:
    """What a file holds in place of the key that was `wanted`, and what to do."""
    if wanted in data:
        return f": {_first_line(error)}"
    if _PRIVATE in data:
        return ", but a private one, which nobody else should see; give its public half, as in FILE.pub"
    if _PUBLIC in data:
        return ", but a public one; sign with the private key that it belongs to"
    return "; parfocal trust new-key makes a pair"


def _kind_of(key: object) -> str:
    return f"a key of the kind {type(key).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
