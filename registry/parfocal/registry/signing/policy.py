"""Whether a version must be signed, and by whom: nobody asks, a warning, or a refusal."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from parfocal.registry.errors import NotSigned
from parfocal.registry.signing.judging import Finding, Signed, judge, signers
from parfocal.registry.signing.trusted_keys import TrustedKeys


class Requirement(StrEnum):
    """What becomes of a version that no trusted key has signed."""

    OFF = "off"
    WARN = "warn"
    REQUIRE = "require"


class Trust(Protocol):
    """Whom to trust at the moment; `KeysInForce` is one."""

    def now(self) -> TrustedKeys: ...


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SignaturePolicy:
    """What is required of versions, by keys of `trust`; where `at_publishing`, of those that come too.

    With keys and nothing required, only gates ask who has signed.
    """

    requirement: Requirement = Requirement.OFF
    trust: Trust | None = None
    at_publishing: bool = False
    clock: Callable[[], datetime] = _now

    @property
    def is_off(self) -> bool:
        """Whether nothing is required."""
        return self.requirement is Requirement.OFF

    @property
    def trusted(self) -> TrustedKeys:
        """Whose signatures count at the moment."""
        return TrustedKeys() if self.trust is None else self.trust.now()

    def judged(self, signed: Signed, bundles: Iterable[bytes]) -> tuple[Finding, ...]:
        """What each signature is worth now."""
        return judge(signed, bundles, self.trusted, self.clock())

    def warning(self, signed: Signed, bundles: Iterable[bytes]) -> str:
        """What is missing, in a sentence; empty where a trusted key has signed or nothing is required.

        Raises NotSigned where one must have.
        """
        if self.is_off:
            return ""
        findings = self.judged(signed, bundles)
        if signers(findings):
            return ""
        told = not_signed(signed, findings)
        if self.requirement is Requirement.REQUIRE:
            raise told
        return str(told)


def not_signed(signed: Signed, findings: Iterable[Finding]) -> NotSigned:
    """The refusal of a version, with why none of its signatures counts."""
    why = "; ".join(dict.fromkeys(map(str, findings))) or "it has no signature"
    return NotSigned(
        f"{signed.shown} is not signed by a key that is trusted here ({why}); sign it: {signed.remedy}, or "
        "trust who has signed it: parfocal trust add",
        digest=signed.digest,
    )


NO_POLICY = SignaturePolicy()
