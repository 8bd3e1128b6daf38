"""Signatures of versions: made, read, judged by trusted keys, and required where a policy says so."""

from parfocal.registry.signing.bundle import Bundle
from parfocal.registry.signing.judging import (
    Finding,
    Signed,
    bundles_of,
    check_bundle,
    judge,
    signers,
)
from parfocal.registry.signing.keys import Algorithm, PrivateKey, PublicKey
from parfocal.registry.signing.keys_in_force import KeysInForce, KeysWhenAsked
from parfocal.registry.signing.policy import (
    NO_POLICY,
    Requirement,
    SignaturePolicy,
    not_signed,
)
from parfocal.registry.signing.signer import Signer
from parfocal.registry.signing.statement import Statement
from parfocal.registry.signing.trusted_keys import (
    TrustedKey,
    TrustedKeys,
    add_trusted_key,
    read_trusted_keys,
    remove_trusted_key,
    whole_trusted_keys,
)

__all__ = [
    "NO_POLICY",
    "Algorithm",
    "Bundle",
    "Finding",
    "KeysInForce",
    "KeysWhenAsked",
    "PrivateKey",
    "PublicKey",
    "Requirement",
    "SignaturePolicy",
    "Signed",
    "Signer",
    "Statement",
    "TrustedKey",
    "TrustedKeys",
    "add_trusted_key",
    "bundles_of",
    "check_bundle",
    "judge",
    "not_signed",
    "read_trusted_keys",
    "remove_trusted_key",
    "signers",
    "whole_trusted_keys",
]
