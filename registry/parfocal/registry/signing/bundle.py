"""A signature as a file: a sigstore bundle with a DSSE envelope, as the OpenSSF's model signing writes it.

Formats: https://github.com/secure-systems-lab/dsse and https://docs.sigstore.dev/about/bundle/.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from parfocal.registry.errors import InvalidSignature
from parfocal.registry.signing.statement import PAYLOAD_TYPE, Statement
from parfocal.registry.values import (
    MAX_SIGNATURE_BYTES,
    FieldError,
    InvalidJson,
    JsonObject,
    dumps,
    loads,
)

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MAX_VALUES = 1000
_KEY_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signed payload: what was signed, the signature of it, and the id of the key that says it made it."""

    payload: bytes
    signature: bytes
    key_id: str

    @property
    def statement(self) -> Statement:
        """What the payload states; raises InvalidSignature."""
        return Statement.from_bytes(self.payload)

    def to_bytes(self) -> bytes:
        """The bundle as canonical JSON."""
        return dumps(
            {
                "mediaType": _MEDIA_TYPE,
                "verificationMaterial": {"publicKey": {"hint": self.key_id}, "tlogEntries": []},
                "dsseEnvelope": {
                    "payload": _text(self.payload),
                    "payloadType": PAYLOAD_TYPE,
                    "signatures": [{"sig": _text(self.signature), "keyid": ""}],
                },
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bundle":
        """The bundle that `data` are; raises InvalidSignature. Nothing in it is verified."""
        if len(data) > MAX_SIGNATURE_BYTES:
            raise InvalidSignature(
                f"a signature of {len(data)} bytes; at most {MAX_SIGNATURE_BYTES} are kept", field="bundle"
            )
        try:
            return _bundle(JsonObject(loads(data, max_values=_MAX_VALUES)))
        except (InvalidJson, FieldError) as error:
            raise InvalidSignature(
                f"the signature is no whole sigstore bundle with a key: {error}", field="bundle"
            ) from error


def signed_bytes(payload: bytes) -> bytes:
    """The bytes over which a payload is signed: with its type and length, so that they mean nothing else.

    >>> signed_bytes(b"{}")
    b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _bundle(fields: JsonObject) -> Bundle:
    media_type = fields.text("mediaType")
    if media_type != _MEDIA_TYPE:
        raise FieldError("mediaType", f"is {media_type[:100]!a}, not {_MEDIA_TYPE}")
    material = fields.object("verificationMaterial")
    if not material.given("publicKey"):
        raise FieldError(
            "verificationMaterial.publicKey", "is missing: signatures with certificates are not read"
        )
    envelope = fields.object("dsseEnvelope")
    payload_type, signatures = envelope.text("payloadType"), envelope.objects("signatures")
    if payload_type != PAYLOAD_TYPE:
        raise FieldError("dsseEnvelope.payloadType", f"is {payload_type[:100]!a}, not {PAYLOAD_TYPE}")
    if len(signatures) != 1:
        raise FieldError("dsseEnvelope.signatures", f"has {len(signatures)}; a bundle has one")
    key_id = material.object("publicKey").text("hint")
    if not _KEY_ID.fullmatch(key_id):
        raise FieldError("verificationMaterial.publicKey.hint", "is not the sha256 of a key")
    return Bundle(_bytes(envelope, "payload"), _bytes(signatures[0], "sig"), key_id)


def _bytes(fields: JsonObject, name: str) -> bytes:
    try:
        return base64.b64decode(fields.text(name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FieldError(f"dsseEnvelope.{name}", f"is no base64: {error}") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
