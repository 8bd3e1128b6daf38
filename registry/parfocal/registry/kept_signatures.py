"""The signatures that versions have in an index, and the policy that versions are held to."""

import io
import logging
from collections.abc import Iterator, Mapping

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import IndexCorrupt, NotFound, RegistryTooNew
from parfocal.registry.index import Index
from parfocal.registry.publishing import Publication
from parfocal.registry.signing import (
    NO_POLICY,
    SignaturePolicy,
    Signed,
    bundles_of,
    check_bundle,
)
from parfocal.registry.values import (
    Manifest,
    MoveKind,
    Signature,
    Version,
    digest_of,
    rollback_target,
)

log = logging.getLogger(__name__)
_MOVES_AT_ONCE = 100
_AT_REST = (MoveKind.CANARY, MoveKind.ABORT)


class KeptSignatures:
    """Keeps signatures in `index` and `blobs`, and requires them as its policy says: at first, of nobody.

    Answers gates too, by the keys that the policy trusts, also where it requires nothing.
    """

    def __init__(self, index: Index, blobs: BlobStore) -> None:
        self._index = index
        self._blobs = blobs
        self._policy = NO_POLICY

    def hold_to(self, policy: SignaturePolicy) -> None:
        """Requires what `policy` says from now on."""
        self._policy = policy

    def come_with(self, adapter: str, manifest: bytes, publication: Publication) -> tuple[bytes, ...]:
        """Stores the signatures of what is published; raises InvalidSignature or NotSigned."""
        wants = self._policy.at_publishing and not self._policy.is_off
        if not (wants or publication.signatures or publication.sign):
            return ()
        digest, files = digest_of(manifest), Manifest.from_bytes(manifest).files
        signed = Signed.coming(adapter, digest, files)
        bundles = publication.signatures
        if publication.sign is not None:
            bundles = (*bundles, publication.sign(adapter, digest, files))
        for bundle in bundles:
            check_bundle(bundle, signed)
        if wants:
            self._hold(signed, (*bundles, *self._bundles_with(adapter, digest)))
        for bundle in bundles:
            self._blobs.put(io.BytesIO(bundle))
        return bundles

    def of(self, adapter: str, number: int) -> tuple[Signature, ...]:
        """The signatures of a live version; raises NotFound."""
        return self._index.signatures(adapter, number)

    def add(self, adapter: str, number: int, bundle: bytes, actor: str) -> Signature:
        """Adds a signature to a live version; raises InvalidSignature, TooManySignatures or NotFound.

        The caller is in the index's `publishing()`, so that the bundle is not collected.
        """
        check_bundle(bundle, Signed.of(self._index.version(adapter, number)))
        self._blobs.put(io.BytesIO(bundle))
        return self._index.add_signature(adapter, number, bundle, actor)

    def check(self, adapter: str, number: int) -> None:
        """Raises NotSigned where an alias must not move to a version, or logs a warning of it."""
        if self._policy.is_off:
            return
        signed = Signed.of(self._index.version(adapter, number))
        self._hold(signed, bundles_of(self._index.signatures(adapter, number)))

    def check_before(self, adapter: str, alias: str) -> int | None:
        """As `check`, of the version that a rollback would lead to, which is returned.

        None where nothing is required, or where there is nothing to go back to.
        """
        if self._policy.is_off:
            return None
        target = rollback_target(self._history(adapter, alias), lambda number: self._is_live(adapter, number))
        if target is not None:
            self.check(adapter, target)
        return target

    def signers(self, version: Version) -> Mapping[str, str] | None:
        """As `gates.Signatures`; None where the policy trusts no keys."""
        if self._policy.trust is None:
            return None
        try:
            signed = Signed.of(version)
        except (IndexCorrupt, RegistryTooNew):
            return {}
        bundles = bundles_of(self._index.signatures(version.name, version.version))
        findings = self._policy.judged(signed, bundles)
        return {each.key_id: each.signer for each in findings if not each.fault}

    def _hold(self, signed: Signed, bundles: tuple[bytes, ...]) -> None:
        warning = self._policy.warning(signed, bundles)
        if warning:
            log.warning("%s", warning)

    def _bundles_with(self, adapter: str, digest: str) -> tuple[bytes, ...]:
        """The signatures that this content of an adapter has already."""
        try:
            there = self._index.version_with(adapter, digest)
            return bundles_of(self._index.signatures(adapter, there.version))
        except NotFound:
            return ()

    def _history(self, adapter: str, alias: str) -> Iterator[tuple[MoveKind, int]]:
        """How an alias was pointed elsewhere, the newest first, as many as are asked for; raises NotFound."""
        key = ""
        while True:
            found = self._index.moves(adapter, alias, _MOVES_AT_ONCE, key)
            yield from ((move.kind, move.version) for move in found.items if move.kind not in _AT_REST)
            key = found.next_key
            if not key:
                return

    def _is_live(self, adapter: str, number: int) -> bool:
        try:
            self._index.signatures(adapter, number)
        except NotFound:
            return False
        return True
