"""A registry over any index and any store of blobs: the one place where both meet."""

# size: a method for each call of the protocol

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

from parfocal.registry.blobs import BlobStore
from parfocal.registry.copies import LocalCopies
from parfocal.registry.disk import disk_errors
from parfocal.registry.errors import (
    InvalidArgument,
    RegistryForbidden,
    RegistryReadOnly,
    StorageError,
)
from parfocal.registry.gates import AS_THE_GATE_SAYS, Gate, Override, StandingGate, Verdict
from parfocal.registry.index import Index, Slice, Terms, refusals
from parfocal.registry.keeping import (
    Collection,
    Copied,
    Garbage,
    HistoryVerification,
    Seal,
    Verification,
    check_all_of_index,
    check_index,
    collect,
    copy_registry,
    every_event,
    verify,
    verify_history,
)
from parfocal.registry.kept_signatures import KeptSignatures
from parfocal.registry.promotion import Promotion, standing_gate
from parfocal.registry.publishing import (
    NOTHING_HELD,
    BegunWeights,
    Check,
    Held,
    MayHave,
    Publication,
    Receiving,
    Uploaded,
    check_here,
)
from parfocal.registry.quotas import NamespaceUse, Quotas
from parfocal.registry.reading import Reading
from parfocal.registry.signing import SignaturePolicy
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
    MAX_PAGE_SIZE,
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    CanaryComparison,
    CanaryPlan,
    FileEntry,
    Manifest,
    MoveFilter,
    Page,
    Recent,
    Reference,
    Signature,
    Version,
    VersionFilter,
    adapters_listing,
    check_actor,
    check_alias,
    check_canary_number,
    check_expected,
    check_needed,
    check_reason,
    check_sequence,
    check_version,
    checked_page_size,
    key_in,
    page_token,
    parse_digest,
)
from parfocal.registry.watching import Changes, IndexWatch, Watch

log = logging.getLogger(__name__)

# What references mean, while nothing changes: every request of a server resolves one. An answer with a read
# manifest takes four times its bytes.
_ANSWERS_BYTES = 64 << 20
_ANSWER_GROWTH = 4
_ANSWER_BYTES = 1000

Progress = Callable[[int, int], None]
Item = TypeVar("Item")


class StoredRegistry:
    """The registry at `location` whose names are in `index` and whose files are in `blobs`.

    Local copies go into the first of `copies` that can be written. Raises IndexLost when index and blobs do
    not belong together.
    """

    # What was stored a moment ago is not collected; where locks are files, they say enough.
    grace_s: ClassVar[float] = 0.0

    def __init__(
        self,
        location: str,
        index: Index,
        blobs: BlobStore,
        copies: Sequence[LocalCopies],
        check: Check = check_here,
    ) -> None:
        self._location = location
        self._index = index
        self._blobs = blobs
        self._copies = copies
        self._check = check
        self._receiving = Receiving(index, blobs)
        self._reading = Reading(location, index, blobs)
        self._signed = KeptSignatures(index, blobs)
        self._promotion = Promotion(index, self._signed)
        self._changes = Changes()
        self._answers: tuple[object | None, Recent[str, Version]] = (None, Recent(_ANSWERS_BYTES))
        check_index(index, blobs, location)

    def hold_to(self, policy: SignaturePolicy) -> None:
        """Requires signatures where an alias moves and, if `policy` says so, of what is published."""
        self._signed.hold_to(policy)

    def publish(
        self,
        name: str,
        folder: Path,
        publication: Publication,
        progress: Progress | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> Version:
        return self._published(str(AdapterName.parse(name)), folder, publication, progress)

    def missing(
        self, files: Sequence[FileEntry], owner: str, seconds: float, may_have: MayHave
    ) -> tuple[FileEntry, ...]:
        with disk_errors(self._location):
            return self._receiving.missing(files, owner, seconds, may_have)

    def receive(self, file: Path, entry: FileEntry, owner: str, seconds: float) -> None:
        with disk_errors(self._location):
            check_index(self._index, self._blobs, self._location)
            self._receiving.receive(file, entry, owner, seconds)

    def check_quota(self, name: str, files: Sequence[FileEntry]) -> None:
        sizes = {file.digest: file.size for file in files}
        with disk_errors(self._location):
            self._index.check_quota(str(AdapterName.parse(name)), sizes)

    def publish_uploaded(self, name: str, uploaded: Uploaded, publication: Publication) -> Version:
        adapter = str(AdapterName.parse(name))
        with disk_errors(self._location), self._copies[0].staging.work_folder() as work:
            held = self._receiving.gather(uploaded, adapter, work)
            version = self._published(adapter, work, publication, held=held)
            self._receiving.forget(uploaded.owner, held.values())
        return version

    def _published(
        self,
        adapter: str,
        folder: Path,
        publication: Publication,
        progress: Progress | None = None,
        held: Held = NOTHING_HELD,
    ) -> Version:
        with (
            disk_errors(self._location),
            nullcontext() if held else BegunWeights(self._blobs, folder) as begun,
            self._check(folder, publication, held) as ready,
            self._changing(),
            self._index.publishing(),
        ):
            manifest = ready.store(self._blobs, progress, held, begun)
            who = check_actor(publication.actor)
            bundles = self._signed.come_with(adapter, manifest, publication)
            return self._index.add_version(adapter, manifest, who, bundles).found_readable()

    def signatures(self, name: str, version: int) -> tuple[Signature, ...]:
        return self._signed.of(str(AdapterName.parse(name)), check_version(version))

    def add_signature(self, name: str, version: int, bundle: bytes, actor: str = "") -> Signature:
        adapter, number, who = str(AdapterName.parse(name)), check_version(version), check_actor(actor)
        with disk_errors(self._location), self._changing(), self._index.publishing():
            return self._signed.add(adapter, number, bundle, who)

    def resolve(self, reference: str) -> Version:
        # Asked before the look-up, so an answer is never kept for a moment later than its own.
        moment = self._index.moment()
        kept, answers = self._answers
        if moment is None or moment != kept:
            answers = Recent(_ANSWERS_BYTES)
            self._answers = (moment, answers)
        version = answers.get(reference)
        if version is None:
            version = self._looked_up(reference)
            answers.put(reference, version, _ANSWER_BYTES + _ANSWER_GROWTH * len(version.manifest_bytes))
        return version

    def _looked_up(self, reference: str) -> Version:
        wanted = Reference.parse(reference)
        name = str(wanted.name)
        if wanted.digest is not None:
            return self._index.version_with(name, wanted.digest)
        if wanted.version is not None:
            return self._index.version(name, wanted.version)
        if wanted.alias is not None:
            return self._index.target(name, wanted.alias)
        return self._index.latest(name)

    def find(self, digest: str) -> Version:
        return self._index.find(parse_digest(digest))

    def manifest(self, digest: str) -> Manifest:
        return self.find(digest).manifest

    def materialise(self, digest: str) -> Path:
        return self._reading.copied(self.find(digest), self._copies)

    def adapters(
        self, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[AdapterSummary]:
        listing = adapters_listing(where)
        limit, after = checked_page_size(page_size), key_in(page_token, listing)
        return _page(listing, self._index.adapters(limit, after, where))

    def versions(
        self, name: str, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[Version]:
        adapter = str(AdapterName.parse(name))
        listing = f"versions/{adapter}/{where.key}" if where.key else f"versions/{adapter}"
        limit, after = checked_page_size(page_size), key_in(page_token, listing)
        return _page(listing, self._index.versions(adapter, limit, after, where))

    def aliases(self, name: str) -> list[Alias]:
        return self._index.aliases(str(AdapterName.parse(name)))

    def alias_moves(
        self,
        name: str,
        alias: str = "",
        page_size: int = 0,
        page_token: str = "",
        where: MoveFilter = ALL_MOVES,
    ) -> Page[AliasMove]:
        adapter, only = str(AdapterName.parse(name)), check_alias(alias) if alias else ""
        listing = f"moves/{adapter}/{only}/{where.key}" if where.key else f"moves/{adapter}/{only}"
        limit, after = checked_page_size(page_size), key_in(page_token, listing)
        return _page(listing, self._index.moves(adapter, only, limit, after, where))

    def alias_history(self, name: str, alias: str) -> list[AliasMove]:
        adapter, word = str(AdapterName.parse(name)), check_alias(alias)
        moves = list[AliasMove]()
        found = self._index.moves(adapter, word, MAX_PAGE_SIZE, "")
        while found.next_key:
            moves += found.items
            found = self._index.moves(adapter, word, MAX_PAGE_SIZE, found.next_key)
        return [*moves, *found.items]

    def watch(self, name: str = "", after: int | None = None) -> Watch:
        adapter = str(AdapterName.parse(name)) if name else ""
        return IndexWatch(self._index, self._changes, adapter, check_sequence(after))

    def set_alias(
        self, name: str, alias: str, version: int, expected_version: int | None = None, actor: str = ""
    ) -> Alias:
        return self.move_alias(name, alias, version, Override("", actor, expected_version))

    def override_gate(self, name: str, alias: str, version: int, override: Override) -> Alias:
        if not check_reason(override.reason):
            raise InvalidArgument("a gate is overridden for a reason; say which", field="override_reason")
        return self.move_alias(name, alias, version, override)

    def set_canary(
        self, name: str, alias: str, plan: CanaryPlan, override: Override = AS_THE_GATE_SAYS
    ) -> Alias:
        adapter, word, number = str(AdapterName.parse(name)), check_alias(alias), check_version(plan.version)
        who = _checked(override)
        self._signed.check(adapter, number)

        def begun(terms: Terms) -> Alias:
            with self._changing():
                return self._index.set_canary(adapter, word, plan, who, terms)

        return self._promotion.through(lambda: self._promotion.judged(adapter, word, number, override), begun)

    def promote_canary(self, seen: Alias, override: Override = AS_THE_GATE_SAYS) -> Alias:
        canary = seen.canary
        if canary is None:
            raise refusals.no_canary(seen.name, seen.alias)
        checked = replace(override, expected_version=seen.version, expected_canary=canary.number)
        return self.move_alias(seen.name, seen.alias, canary.version, checked)

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str = "", found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        adapter, word = str(AdapterName.parse(name)), check_alias(alias)
        expected, who = check_canary_number(number), check_actor(actor)
        with self._changing():
            return self._index.abort_canary(adapter, word, expected, who, found)

    def move_alias(self, name: str, alias: str, version: int, override: Override) -> Alias:
        adapter, word, number = str(AdapterName.parse(name)), check_alias(alias), check_version(version)
        who = _checked(override)
        self._signed.check(adapter, number)

        def moved(terms: Terms) -> Alias:
            with self._changing():
                return self._index.set_alias(adapter, word, number, who, terms)

        return self._promotion.through(lambda: self._promotion.judged(adapter, word, number, override), moved)

    def rollback_alias(self, name: str, alias: str, expected_version: int, actor: str = "") -> Alias:
        adapter, word = str(AdapterName.parse(name)), check_alias(alias)
        expected, who = check_needed(expected_version), check_actor(actor)

        def judged() -> Terms:
            terms = self._promotion.rolled_back(adapter, word, expected)
            return replace(terms, leads_to=self._signed.check_before(adapter, word))

        def moved(terms: Terms) -> Alias:
            with self._changing():
                return self._index.roll_back_alias(adapter, word, who, terms)

        return self._promotion.through(judged, moved)

    def limit_to(self, quotas: Quotas) -> None:
        """From now on nothing is published here that a namespace's quota does not leave room for."""
        self._index.limit_to(quotas)

    def namespaces(self, page_size: int = 0, page_token: str = "") -> Page[NamespaceUse]:
        listing = "namespaces"
        limit, after = checked_page_size(page_size), key_in(page_token, listing)
        return _page(listing, self._index.namespaces(limit, after))

    def gate(self, name: str, alias: str) -> StandingGate:
        return self._promotion.standing(str(AdapterName.parse(name)), check_alias(alias))

    def set_gate(self, name: str, alias: str, gate: Gate, actor: str = "") -> StandingGate:
        adapter, word, who = str(AdapterName.parse(name)), check_alias(alias), check_actor(actor)
        with self._changing():
            return standing_gate(self._index.set_gate(adapter, word, gate.to_text(), who))

    def clear_gate(self, name: str, alias: str, actor: str = "") -> None:
        adapter, word, who = str(AdapterName.parse(name)), check_alias(alias), check_actor(actor)
        with self._changing():
            self._index.clear_gate(adapter, word, who)

    def check_gate(self, name: str, alias: str, version: int) -> Verdict:
        adapter, word = str(AdapterName.parse(name)), check_alias(alias)
        return self._promotion.check(adapter, word, check_version(version))

    def delete_alias(
        self, name: str, alias: str, actor: str = "", expected_version: int | None = None
    ) -> None:
        adapter, word = str(AdapterName.parse(name)), check_alias(alias)
        expected, who = check_expected(expected_version), check_actor(actor)
        with self._changing():
            self._index.delete_alias(adapter, word, expected, who)

    def delete_version(self, name: str, version: int, actor: str = "") -> None:
        adapter, number, who = str(AdapterName.parse(name)), check_version(version), check_actor(actor)
        with self._changing():
            self._index.delete_version(adapter, number, who)

    def delete_adapter(self, name: str, force: bool = False, actor: str = "") -> None:
        adapter, who = str(AdapterName.parse(name)), check_actor(actor)
        with self._changing():
            self._index.delete_adapter(adapter, force, who)

    def collect_garbage(
        self,
        dry_run: bool = False,
        *,
        copies: bool = False,
        unindexed: bool = False,
        most: bool = False,
        grace_s: float | None = None,
    ) -> Garbage:
        """Frees the files of deleted versions and failed publishes; waits for running ones.

        Local `copies` too, all of them, and whole versions that are `unindexed`, if asked. Where more than
        half of the versions or of their bytes would go, frees nothing unless `most` is given. Nothing that
        was stored in the last `grace_s` seconds goes, by default as many as the storage needs.

        Raises IndexLost, IndexCorrupt and then frees nothing, RegistryBusy or another StorageError.
        """
        with disk_errors(self._location), self._index.collecting():
            check_all_of_index(self._index, self._blobs, self._location)
            if not dry_run:
                self._blobs.clean()
            grace = self.grace_s if grace_s is None else grace_s
            asked = Collection(dry_run, copies, unindexed, most, grace)
            return collect(self._index, self._blobs, self._copies[0], asked)

    def verify(self, progress: Progress | None = None) -> Verification:
        """Reads every byte of every live version; raises StorageError."""
        with disk_errors(self._location):
            return verify(self._index, self._blobs, progress)

    def verify_history(
        self, against: Seal | None = None, progress: Progress | None = None
    ) -> HistoryVerification:
        """Looks at every event, whether it is as it was written; see `keeping`. Raises StorageError."""
        with disk_errors(self._location):
            return verify_history(self._index, self._blobs, against, progress)

    def copy_into(self, index: Index, blobs: BlobStore, progress: Progress | None = None) -> Copied:
        """Copies the state of one moment into an empty index and empty blobs; others may go on.

        Who may only read the registry cannot hold off collection: what is deleted and collected meanwhile is
        among the `bad` then. Raises IndexLost, IndexCorrupt or another StorageError.
        """
        with disk_errors(self._location), ExitStack() as stack:
            with suppress(RegistryForbidden, RegistryReadOnly):
                stack.enter_context(self._index.publishing())
            check_all_of_index(self._index, self._blobs, self._location)
            return copy_registry((self._index, self._blobs), (index, blobs), progress)

    def catch_up(self) -> None:
        """Brings the journal up to the index; if that fails, it catches up later."""
        try:
            self._blobs.journal.extend(lambda after: list(every_event(self._index, after)))
        except StorageError as error:
            log.warning("registry %s: its journal stays behind its index: %s", self._location, error)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Runs a change, then writes it into the journal."""
        with disk_errors(self._location):
            check_index(self._index, self._blobs, self._location)
            yield
        self._changes.happened()
        self.catch_up()


def _checked(override: Override) -> str:
    """The actor, if all of it can be recorded and expected; raises InvalidArgument."""
    check_reason(override.reason)
    check_expected(override.expected_version)
    if override.expected_canary is not None:
        check_canary_number(override.expected_canary)
    return check_actor(override.actor)


def _page(listing: str, found: Slice[Item]) -> Page[Item]:
    return Page(found.items, page_token(listing, found.next_key) if found.next_key else "")
