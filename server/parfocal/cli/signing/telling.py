"""Who has signed a version, for people and for machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from parfocal.cli.reach import trusted_keys_file
from parfocal.cli.signing.keys import trusted_from
from parfocal.registry import Registry, Version
from parfocal.registry.signing import Finding, Signed, TrustedKeys, bundles_of, judge, signers
from parfocal.registry.values import Signature

_SHOWN_DIGITS = 12


def key_text(key_id: str) -> str:
    """Enough of a key's id to tell it apart."""
    return f"key {key_id[:_SHOWN_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Told:
    """A version's signatures and what each is worth; nothing is said of them where nobody `is_judged`."""

    signatures: tuple[Signature, ...]
    findings: tuple[Finding, ...]
    is_judged: bool

    @classmethod
    def of(cls, version: Version, registry: Registry, trusted: Path | None) -> "Told":
        """The signatures in a registry, judged by the keys in a file, or else by those that the user trusts.

        Raises InvalidKey and what the registry raises.
        """
        signatures = registry.signatures(version.name, version.version)
        file = trusted or trusted_keys_file()
        if file is None or not signatures:
            return cls(signatures, judged(version, signatures, TrustedKeys()), file is not None)
        return cls(signatures, judged(version, signatures, trusted_from([file])), True)

    def line(self) -> str:
        """All of it in a line."""
        if not self.findings:
            return "no"
        if not self.is_judged:
            named = ", ".join(dict.fromkeys(key_text(each.key_id) for each in self.findings if each.key_id))
            return f"with {named}; nobody was asked whom to trust: --trusted-keys FILE"
        good = signers(self.findings)
        bad = [str(each) for each in self.findings if each.fault]
        return "; ".join([f"by {', '.join(good)}" if good else "by nobody who is trusted", *bad])

    def documents(self) -> list[dict[str, object]]:
        """Each signature as JSON; `good` is null where nobody was asked whom to trust."""
        return [
            {**finding_document(each, self.is_judged), **_added(signature)}
            for each, signature in zip(self.findings, self.signatures, strict=True)
        ]

    def write_into(self, folder: Path) -> None:
        """Writes each bundle into a new folder; raises OSError."""
        folder.mkdir(parents=True)
        for number, each in enumerate(self.signatures, 1):
            (folder / f"signature-{number}.sigstore.json").write_bytes(each.bundle)


def judged(version: Version, signatures: tuple[Signature, ...], keys: TrustedKeys) -> tuple[Finding, ...]:
    """What each signature of a version is worth now."""
    return judge(Signed.of(version), bundles_of(signatures), keys, datetime.now(UTC))


def finding_document(finding: Finding, is_judged: bool = True) -> dict[str, object]:
    """What a signature is worth as JSON."""
    return {
        "digest": finding.digest,
        "key": finding.key_id,
        "good": not finding.fault if is_judged else None,
        "signer": finding.signer or None,
        "algorithm": finding.algorithm or None,
        "fault": (finding.fault or None) if is_judged else None,
    }


def _added(signature: Signature) -> Mapping[str, object]:
    return {
        "added_at": signature.added_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "actor": signature.actor,
    }
