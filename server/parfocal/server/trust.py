"""Whom a server trusts to sign, by its settings."""

from pathlib import Path

from parfocal.registry import InvalidKey
from parfocal.registry.signing import NO_POLICY, KeysInForce, Requirement, SignaturePolicy
from parfocal.server.errors import BadSetting
from parfocal.server.settings import ServeConfig


def signature_policy(config: ServeConfig) -> SignaturePolicy:
    """What is required of versions; raises BadSetting."""
    requirement = Requirement(config.signatures)
    if not config.trusted_keys:
        if requirement is Requirement.OFF:
            return NO_POLICY
        raise BadSetting(
            f"signatures is {requirement} and nobody is trusted to sign; name a file of keys as "
            "trusted_keys: parfocal trust add makes one",
            field="trusted_keys",
        )
    try:
        keys = KeysInForce(Path(config.trusted_keys).expanduser())
    except InvalidKey as error:
        raise BadSetting(str(error), field="trusted_keys") from error
    return SignaturePolicy(requirement, keys, config.signatures_at == "publish")
