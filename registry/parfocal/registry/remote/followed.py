"""A remote registry as a server follows it: what is known is answered here, whatever becomes of the registry.

The first look-up of a reference asks the registry; later ones do not. A watch tells what has changed. Where a
reference then means another version, its files are fetched and verified before anybody is answered with it,
and those of an alias's canary before it gets requests.
"""

# size: one life: what is known, how it is followed, and how it switches

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from parfocal.registry.errors import DataLoss, NotFound, RegistryError, StorageError
from parfocal.registry.remote.fetching import Fetching
from parfocal.registry.remote.known import Known, KnownFile, Meaning
from parfocal.registry.values import Manifest, Recent, Reference, Signature, Version
from parfocal.registry.watching import Watch
from parfocal.rpc import WireError

log = logging.getLogger(__name__)

_ANSWERS_BYTES = 64 << 20
_ANSWER_GROWTH = 5
_ANSWER_BYTES = 1000
# A reference takes some 300 bytes in the file, which is written anew with each change.
_MOST_REFERENCES = 10_000
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_TEND_S = 0.25
_RETRY_S = 5.0
# While nothing changes, how old the file's word may be on when all of it was true.
_WRITE_S = 30.0


class Followable(Protocol):
    """What is followed; `RemoteRegistry` is one."""

    def resolve(self, reference: str) -> Version: ...

    def materialise(self, digest: str) -> Path: ...

    def manifest(self, digest: str) -> Manifest: ...

    def keep_manifest(self, manifest: Manifest) -> None: ...

    def signatures(self, name: str, version: int) -> tuple[Signature, ...]: ...

    def kept_bundles(self, digest: str) -> tuple[bytes, ...]: ...

    def keep_bundles(self, digest: str, bundles: Sequence[bytes]) -> None: ...

    def watch(self, name: str = "", after: int | None = None) -> Watch: ...


@dataclass(slots=True)
class _Switch:
    """A reference that has moved in the registry, and is answered as before until the files are here.

    `second` is the version of its canary, if it has one.
    """

    version: Version
    second: Version | None
    since: float
    begun_at: float
    failed_at: float | None = None

    @property
    def versions(self) -> list[Version]:
        """What must be here."""
        return [self.version] if self.second is None else [self.version, self.second]

    @property
    def digests(self) -> list[str]:
        """The digests of what must be here."""
        return [each.digest for each in self.versions]


class FollowedRegistry:
    """`registry` at `location`, followed from `start` to `close`. Any thread may call.

    What is known is kept in `file`. A reference that moved is answered as before for at most `switch_s`
    seconds while the new files are fetched; then requests wait for them. If they cannot be fetched, or are
    not what they should be, the version before is answered until they are. Where `signatures` will be asked
    for, they come with the files.
    """

    def __init__(
        self, registry: Followable, location: str, file: Path, switch_s: float, signatures: bool = False
    ) -> None:
        self._registry = registry
        self._signatures = signatures
        self._location = location
        self._file = KnownFile(file, location)
        self._switch_s = switch_s
        self._fetching = Fetching(registry.materialise)
        self._answers: Recent[Meaning, Version] = Recent(_ANSWERS_BYTES)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        found = self._file.read()
        self._meanings = OrderedDict(found.meanings)
        self._switches: dict[str, _Switch] = {}
        self._sequence = found.sequence
        self._heard = 0
        self._true_at = found.true_at
        # None while the watch is well: from then on what is known may have ceased to be true.
        self._stale_since: float | None = time.monotonic() - max(0.0, time.time() - found.true_at)
        self._changed = False
        self._watch: Watch | None = None
        self._closed = threading.Event()
        self._tried = threading.Event()

    def start(self, first_s: float = 0.0) -> None:
        """Begins to follow; waits up to `first_s` seconds for what is known to be asked for anew."""
        for work, name in ((self._follow, "registry-follow"), (self._tend, "registry-tend")):
            threading.Thread(target=work, name=name, daemon=True).start()
        self._tried.wait(first_s)

    def close(self) -> None:
        """Ends the watch and writes what is known."""
        self._closed.set()
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.close()
        self._fetching.close()
        self._write()

    def staleness_s(self) -> float:
        """Seconds since everything here was last known to be as in the registry; 0 while it is."""
        now = time.monotonic()
        with self._lock:
            since = [switch.since for switch in self._switches.values()]
            if self._stale_since is not None:
                since.append(self._stale_since)
        return max((now - each for each in since), default=0.0)

    def resolve(self, reference: str) -> Version:
        """The version that a reference means, as far as is known here; asks the registry if nothing is.

        Raises InvalidArgument or NotFound, and RemoteError for what is unknown while the registry is away.
        """
        wanted = Reference.parse(reference)
        key = str(wanted)
        with self._lock:
            meaning, heard = self._meanings.get(key), self._heard
            if meaning is not None:
                self._meanings.move_to_end(key)
        if meaning is not None:
            return self._version(meaning)
        try:
            version, second = self._asked(key)
        except (WireError, StorageError):
            meaning = self._meaning_by_content(wanted)
            if meaning is None:
                raise
            return self._version(meaning)
        if second is not None:
            self._learn(str(second), second, heard)
        self._learn(key, version, heard)
        return version

    def _asked(self, key: str) -> tuple[Version, Version | None]:
        """What the registry says that a reference means, and the version of its canary, if it has one."""
        version = self._registry.resolve(key)
        if version.canary is None:
            return version, None
        try:
            return version, self._registry.resolve(f"{version.name}@{version.canary.version}")
        except NotFound:  # it ended meanwhile, and an event tells
            return replace(version, canary=None), None

    def materialise(self, digest: str) -> Path:
        """A local folder with the version's files, every byte verified now; see Registry."""
        self._fetching.join(digest)
        return self._registry.materialise(digest)

    def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest; see Registry."""
        return self._registry.manifest(digest)

    def bundles(self, version: Version) -> tuple[bytes, ...]:
        """The signatures of a version; those that were last heard of while the registry is away."""
        kept = self._registry.kept_bundles(version.digest)
        try:
            found = tuple(each.bundle for each in self._registry.signatures(version.name, version.version))
        except (WireError, StorageError) as error:
            log.info("the signatures of %s are those that were last heard of: %s", version, error)
            return kept
        if found != kept:
            self._registry.keep_bundles(version.digest, found)
        return found

    def _version(self, meaning: Meaning) -> Version:
        found = self._answers.get(meaning)
        if found is None:
            manifest = self._registry.manifest(meaning.digest)
            data = manifest.to_bytes()
            place = meaning.name, meaning.version, meaning.digest
            found = Version(*place, data, meaning.created_at, manifest, meaning.canary)
            self._remember(found)
        return found

    def _remember(self, version: Version) -> None:
        size = _ANSWER_BYTES + _ANSWER_GROWTH * len(version.manifest_bytes)
        self._answers.put(Meaning.of(version), version, size)

    def _meaning_by_content(self, wanted: Reference) -> Meaning | None:
        """What is known of a version under another reference: numbers and digests keep their meaning."""
        name = str(wanted.name)
        with self._lock:
            known = [each for each in self._meanings.values() if each.name == name]
        if wanted.version is not None:
            found = {replace(each, canary=None) for each in known if each.version == wanted.version}
        elif wanted.digest is not None:
            found = {replace(each, canary=None) for each in known if each.digest.startswith(wanted.digest)}
        else:
            return None
        return found.pop() if len(found) == 1 else None

    def _learn(self, key: str, version: Version, heard: int) -> None:
        self._registry.keep_manifest(version.manifest)
        self._remember(version)
        with self._lock:
            self._meanings[key] = Meaning.of(version)
            while len(self._meanings) > _MOST_REFERENCES:
                self._switches.pop(self._meanings.popitem(last=False)[0], None)
            missed = self._heard != heard
            self._changed = True
        if missed:  # it may have moved between the answer and now
            self._look_safely(version.name)

    def _follow(self) -> None:
        wait = _FIRST_WAIT_S
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._follow_once()
                error: Exception | None = None
            except (RegistryError, WireError) as failure:
                error = failure
            if self._closed.is_set():
                return
            wait = _FIRST_WAIT_S if time.monotonic() - began > _LONGEST_WAIT_S else wait
            self._lost(error)
            self._closed.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _follow_once(self) -> None:
        """Looks everything up anew, then what each event touches; ends with the watch."""
        watch = self._registry.watch()
        with closing(watch):
            with self._lock:
                self._watch = watch
                self._heard += 1
                # A history that has become shorter is another one: perhaps a disk was not mounted. What it
                # lacks may still be served.
                is_whole = watch.begins_after >= self._sequence
                self._sequence = max(self._sequence, watch.begins_after)
                names = {meaning.name for meaning in self._meanings.values()}
            for name in sorted(names):
                self._look(name, is_whole)
            self._found()
            for event in watch:
                with self._lock:
                    self._heard += 1
                    self._sequence = max(self._sequence, event.sequence)
                self._look(event.name, True)

    def _look_safely(self, name: str) -> None:
        try:
            self._look(name, True)
        except (RegistryError, WireError) as error:
            log.debug("looking up %s again: %s", name, error)  # the watch has ended too, and begins anew

    def _look(self, name: str, is_whole: bool) -> None:
        """Asks what the known references to an adapter mean now; raises where nothing answers."""
        with self._lock:
            known = {key: each for key, each in self._meanings.items() if each.name == name}
        for key, meaning in known.items():
            try:
                version, second = self._asked(key)
            except NotFound as error:
                self._gone(key, meaning, is_whole, error)
            except DataLoss as error:
                log.warning("%s is still answered with %s: %s", key, meaning, error)
            else:
                self._means(key, version, second)

    def _gone(self, key: str, meaning: Meaning, is_whole: bool, error: NotFound) -> None:
        if not is_whole:
            log.error(
                "registry %s has lost a part of its history, and no longer knows %s; it is still answered "
                "with %s: %s",
                self._location, key, meaning, error,
            )  # fmt: skip
            return
        with self._lock:
            self._meanings.pop(key, None)
            self._switches.pop(key, None)
            self._changed = True

    def _means(self, key: str, version: Version, second: Version | None) -> None:
        """Takes what the registry says; a version not answered so far is fetched first, a canary's too."""
        with self._lock:
            if self._meanings.get(key) in (None, Meaning.of(version)):
                self._switches.pop(key, None)
                return
            under_way = self._switches.get(key)
            since = time.monotonic()
            if under_way is not None and Meaning.of(under_way.version) == Meaning.of(version):
                if under_way.failed_at is None:
                    return
                since = under_way.since
            switch = self._switches[key] = _Switch(version, second, since, time.monotonic())
        self._fetch(key, switch, switch.digests)

    def _fetch(self, key: str, switch: _Switch, digests: list[str]) -> None:
        """Fetches one after the other, and switches then."""
        log.info("%s moves to %s once its files are here", key, Meaning.of(switch.version))
        try:
            fetch = self._fetching.begin(digests[0])
        except RuntimeError:  # closed meanwhile
            return
        fetch.add_done_callback(lambda fetch: self._fetched(key, switch, digests[1:], fetch))

    def _fetched(self, key: str, switch: _Switch, rest: list[str], fetch: "Future[Path]") -> None:
        try:
            fetch.result()
        except CancelledError:
            return
        except (RegistryError, WireError, OSError) as error:
            with self._lock:
                switch.failed_at = time.monotonic()
            log.warning(
                "%s is still answered as before, since %s cannot be fetched: %s",
                key, Meaning.of(switch.version), error,
            )  # fmt: skip
            return
        if rest:
            self._fetch(key, switch, rest)
            return
        if self._signatures:
            for each in switch.versions:
                with suppress(RegistryError):
                    self.bundles(each)
        self._complete(key, switch)

    def _complete(self, key: str, switch: _Switch) -> None:
        self._remember(switch.version)
        second = switch.second
        if second is not None:
            self._registry.keep_manifest(second.manifest)
            self._remember(second)
        with self._lock:
            if self._switches.get(key) is not switch:  # it has moved on, or is gone
                return
            del self._switches[key]
            self._meanings[key] = Meaning.of(switch.version)
            if second is not None:
                self._meanings[str(second)] = Meaning.of(second)
            self._changed = True
        took = time.monotonic() - switch.since
        log.info("%s is now %s, %.2f s after it moved was heard", key, Meaning.of(switch.version), took)

    def _lost(self, error: Exception | None) -> None:
        with self._lock:
            self._watch = None
            was_well = self._stale_since is None
            if was_well:
                self._stale_since, self._true_at = time.monotonic(), time.time()
            count = len(self._meanings)
        if was_well or not self._tried.is_set():
            log.warning(
                "registry %s does not answer; what was known of it, %d references, is served on: %s",
                self._location, count, error or "its watch ended",
            )  # fmt: skip
        self._tried.set()
        self._write()

    def _found(self) -> None:
        with self._lock:
            since, self._stale_since = self._stale_since, None
            count = len(self._meanings)
            self._changed = True
        away_s = 0.0 if since is None else time.monotonic() - since
        log.info("following registry %s: %d references, unheard of for %.1f s", self._location, count, away_s)
        self._tried.set()

    def _tend(self) -> None:
        """Switches what took too long, tries again what failed, and writes what has changed."""
        written = time.monotonic()
        while not self._closed.wait(_TEND_S):
            now = time.monotonic()
            for key, switch in self._late(now):
                log.warning("%s is now %s, whose files are not here yet after %g s; requests wait for them",
                            key, switch.version, self._switch_s)  # fmt: skip
                self._complete(key, switch)
            for key, switch in self._failed(now):
                self._fetch(key, switch, switch.digests)
            if self._changed or now - written > _WRITE_S:
                written = now
                self._write()

    def _late(self, now: float) -> Iterable[tuple[str, _Switch]]:
        with self._lock:
            return [
                (key, each)
                for key, each in self._switches.items()
                if each.failed_at is None and now - each.begun_at > self._switch_s
            ]

    def _failed(self, now: float) -> Iterable[tuple[str, _Switch]]:
        with self._lock:
            found = [
                (key, each)
                for key, each in self._switches.items()
                if each.failed_at is not None and now - each.failed_at > _RETRY_S
            ]
            for _, switch in found:
                switch.failed_at, switch.begun_at = None, now
            return found

    def _write(self) -> None:
        with self._lock:
            if self._stale_since is None:
                self._true_at = time.time()
            known = Known(dict(self._meanings), self._sequence, self._true_at)
            self._changed = False
        try:
            with self._writing:
                self._file.write(known)
        except OSError as error:
            log.warning("what is known of registry %s cannot be kept: %s", self._location, error)
