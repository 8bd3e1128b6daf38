"""Keys for tests, and what they sign."""

from datetime import UTC, datetime
from functools import cache

from parfocal.registry import Registry, Version
from parfocal.registry.signing import (
    Algorithm,
    PrivateKey,
    Requirement,
    SignaturePolicy,
    Signer,
    TrustedKey,
    TrustedKeys,
)
from parfocal.registry.values import Signature

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def key_of(name: str, algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    """The private key of somebody; the same one in all of a run."""
    return _key_of(name, algorithm)


@cache
def _key_of(name: str, algorithm: Algorithm) -> PrivateKey:
    return PrivateKey.generate(algorithm)


def bundle(version: Version, name: str, algorithm: Algorithm = Algorithm.ED25519) -> bytes:
    """What somebody signs of a version."""
    signer = Signer(key_of(name, algorithm))
    return signer.sign(version.name, version.digest, version.manifest.files)


def sign(registry: Registry, version: Version, name: str) -> Signature:
    """Adds somebody's signature to a version."""
    return registry.add_signature(version.name, version.version, bundle(version, name), name)


def trusting(*names: str) -> TrustedKeys:
    """Trust in these people."""
    keys = {key_of(name).public.id: TrustedKey(name, key_of(name).public) for name in names}
    return TrustedKeys(keys)


class Trusting:
    """Whom to trust, which a test may change."""

    def __init__(self, *names: str) -> None:
        self.keys = trusting(*names)

    def now(self) -> TrustedKeys:
        return self.keys


def policy(
    requirement: Requirement, *names: str, at_publishing: bool = False, trust: Trusting | None = None
) -> SignaturePolicy:
    """A policy that trusts these people."""
    return SignaturePolicy(requirement, trust or Trusting(*names), at_publishing)
