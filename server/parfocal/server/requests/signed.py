"""Whether a version may be served, as far as its signatures go. Knows no request and no engine."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from parfocal.registry import NotSigned, Version
from parfocal.registry.signing import (
    Finding,
    Requirement,
    SignaturePolicy,
    Signed,
    TrustedKeys,
    not_signed,
    signers,
)
from parfocal.registry.values import Recent

log = logging.getLogger(__name__)

Bundles: TypeAlias = Callable[[Version], tuple[bytes, ...]]

_JUDGED_BYTES = 16 << 20
_ENTRY_BYTES = 2000
# Whoever asks for an unsigned version again and again does not make the registry be asked as often.
_AGAIN_S = 1.0


class SignatureCheck(Protocol):
    """Is asked before each use of a version."""

    def __call__(self, version: Version) -> str:
        """What callers are warned of, empty for nothing; raises NotSigned where they get no answer."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was found of a version with some keys. `until` is when a good finding ends, None for never."""

    keys: TrustedKeys
    findings: tuple[Finding, ...]
    at: float

    @property
    def is_good(self) -> bool:
        return bool(signers(self.findings))

    @property
    def until(self) -> datetime | None:
        ends = [each.until for each in self.findings if not each.fault]
        return None if None in ends else max(filter(None, ends), default=None)


class SignedVersions:
    """Holds versions to `policy`, with the signatures that `bundles` finds. Any thread may call.

    Keys count as they are now: what a key has signed that is trusted no more is not signed at the next use.
    A good signature is verified once for each set of keys; missing ones are asked for again.
    """

    def __init__(
        self,
        bundles: Bundles,
        policy: SignaturePolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bundles = bundles
        self._policy = policy
        self._clock = clock
        self._known: Recent[tuple[str, int, str], _Judged] = Recent(_JUDGED_BYTES)
        self._warned: Recent[tuple[str, int, str], bool] = Recent(_JUDGED_BYTES)

    def __call__(self, version: Version) -> str:
        """As SignatureCheck; raises what looking signatures up raises too."""
        if self._policy.is_off:
            return ""
        judged = self._judged(version)
        if judged.is_good:
            return ""
        refusal = not_signed(Signed.of(version), judged.findings)
        if self._policy.requirement is Requirement.REQUIRE:
            raise refusal
        self._warn(version, refusal)
        return str(refusal)

    def _judged(self, version: Version) -> _Judged:
        key = (version.name, version.version, version.digest)
        keys, now = self._policy.trusted, self._clock()
        known = self._known.get(key)
        if known is not None and known.keys is keys and self._still_holds(known, now):
            return known
        found = self._policy.judged(Signed.of(version), self._bundles(version))
        judged = _Judged(keys, found, now)
        self._known.put(key, judged, _ENTRY_BYTES)
        return judged

    def _still_holds(self, known: _Judged, now: float) -> bool:
        if not known.is_good:
            return now - known.at < _AGAIN_S
        return known.until is None or self._policy.clock() < known.until

    def _warn(self, version: Version, refusal: NotSigned) -> None:
        """Logs once for each version."""
        key = (version.name, version.version, version.digest)
        if self._warned.get(key) is None:
            self._warned.put(key, True, _ENTRY_BYTES)
            log.warning("served although %s", refusal)
