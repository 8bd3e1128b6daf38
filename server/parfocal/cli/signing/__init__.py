"""Signatures at the command line: `sign`, `verify`, the group `trust`, and who has signed what is shown."""

from parfocal.cli.signing.keys import SignKeyOption, TrustedKeysOption, signer_from
from parfocal.cli.signing.sign import sign
from parfocal.cli.signing.telling import Told, key_text
from parfocal.cli.signing.trust import build_trust
from parfocal.cli.signing.verify import verify

__all__ = [
    "SignKeyOption",
    "Told",
    "TrustedKeysOption",
    "build_trust",
    "key_text",
    "sign",
    "signer_from",
    "verify",
]
