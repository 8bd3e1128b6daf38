"""Which signatures of a version count: by whom it is signed, and why others do not count."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from parfocal.registry.errors import InvalidSignature
from parfocal.registry.signing.bundle import Bundle, signed_bytes
from parfocal.registry.signing.statement import Statement
from parfocal.registry.signing.trusted_keys import TrustedKey, TrustedKeys
from parfocal.registry.values import FileEntry, Signature, Version, digest_of

_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Signed:
    """What is signed or must be: its name and what signs it, for messages; its digest and its files."""

    shown: str
    digest: str
    files: tuple[FileEntry, ...]
    remedy: str = ""

    @classmethod
    def of(cls, version: Version) -> "Signed":
        """A version; raises IndexCorrupt or RegistryTooNew where its manifest cannot be read."""
        remedy = f"parfocal sign {version} --key FILE"
        return cls(str(version), version.digest, version.manifest.files, remedy)

    @classmethod
    def coming(cls, name: str, digest: str, files: tuple[FileEntry, ...]) -> "Signed":
        """What is about to be published under a name."""
        return cls(f"what is published as {name}", digest, files, "parfocal push with --sign-key FILE")


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one signature: whose key made it, and the `fault` for which it does not count.

    `signer` is the name that a trusted key has, empty for others; `until` is when its word ends.
    """

    digest: str
    key_id: str
    signer: str = ""
    algorithm: str = ""
    fault: str = ""
    until: datetime | None = None

    def __str__(self) -> str:
        key = f"key {self.key_id[:_SHOWN_DIGITS]}" if self.key_id else "one"
        who = self.signer or key
        return f"{who}: {self.fault}" if self.fault else who


def judge(
    signed: Signed, bundles: Iterable[bytes], trusted: TrustedKeys, now: datetime
) -> tuple[Finding, ...]:
    """What each signature of a version is worth, in their order. Never raises for what is in them."""
    return tuple(_judged(signed, bundle, trusted, now) for bundle in bundles)


def signers(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Who has signed, each once."""
    return tuple(dict.fromkeys(each.signer for each in findings if not each.fault))


def bundles_of(signatures: Iterable[Signature]) -> tuple[bytes, ...]:
    """The bundles of signatures, as far as they are there."""
    return tuple(each.bundle for each in signatures)


def check_bundle(data: bytes, signed: Signed) -> Bundle:
    """The bundle, if it is one and states what this version is; raises InvalidSignature.

    Whether it was really signed, and by whom, is left to those who trust keys.
    """
    bundle = Bundle.from_bytes(data)
    difference = _difference(bundle.statement, signed)
    if difference:
        raise InvalidSignature(f"the signature is not of {signed.shown}: {difference}", field="bundle")
    return bundle


def _judged(signed: Signed, data: bytes, trusted: TrustedKeys, now: datetime) -> Finding:
    digest = digest_of(data)
    try:
        bundle = Bundle.from_bytes(data)
    except InvalidSignature as error:
        return Finding(digest, "", fault=str(error))
    known = trusted.keys.get(bundle.key_id)
    if known is None:
        return Finding(digest, bundle.key_id, fault="the key is not trusted")
    found = Finding(digest, bundle.key_id, known.name, known.key.algorithm, until=known.expires)
    return _with_fault(found, _fault(signed, bundle, known, now))


def _fault(signed: Signed, bundle: Bundle, known: TrustedKey, now: datetime) -> str:
    if known.is_expired(now):
        assert known.expires is not None
        return f"the key was trusted until {known.expires.isoformat()}"
    if not known.key.verifies(bundle.signature, signed_bytes(bundle.payload)):
        return "what is signed was changed, or the key did not sign it"
    try:
        return _difference(bundle.statement, signed)
    except InvalidSignature as error:
        return str(error)


def _with_fault(found: Finding, fault: str) -> Finding:
    return Finding(found.digest, found.key_id, found.signer, found.algorithm, fault, found.until)


def _difference(statement: Statement, signed: Signed) -> str:
    """How a statement differs from a version; empty where it does not."""
    if statement.manifest != signed.digest:
        return f"it is of the manifest {statement.manifest}, and this one is {signed.digest}"
    files = {file.path: file.digest for file in signed.files}
    for path in sorted(files.keys() | dict(statement.files).keys()):
        if files.get(path) != statement.files.get(path):
            return f"it states {path[:100]!a} as {statement.files.get(path)}, and that is {files.get(path)}"
    return ""
