"""The registry of a server: versions published and pulled, aliases moved, history read."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from parfocal.client import promotions, rpcs
from parfocal.client.answers import Adapter, Alias, AliasMove, Signature, Version, read_version
from parfocal.client.asking import (
    EVERY_MOVE,
    EVERY_VERSION,
    MoveFilter,
    Publication,
    VersionFilter,
    publish_header,
)
from parfocal.client.calling import Caller
from parfocal.client.canaries import CanaryPlan
from parfocal.client.errors import client_error
from parfocal.client.gates import Gate, Rule, SameBase, Verdict
from parfocal.client.paging import every_item
from parfocal.client.promotions import Move
from parfocal.client.transfer import (
    Progress,
    Source,
    folder_sources,
    never_silent,
    receive_files,
    upload_parts,
)
from parfocal.rpc import RemoteError
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

# A registry reads a version of many gigabytes to the end before it sends the first byte.
_SILENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """A version, and the new folder that holds its files; PEFT loads it as it is."""

    version: Version
    folder: Path


class RegistryClient:
    """What a registry does, over one server's connection. All calls raise ClientError."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def publish(
        self,
        folder: str | Path,
        name: str,
        publication: Publication | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Version:
        """The version that the folder, which PEFT's save_pretrained wrote, became.

        Content that the name has already keeps its version. Raises OSError where a file cannot be read.
        """
        asked = publication or Publication()
        sources = [*folder_sources(Path(folder)), *map(Source.of_file, map(Path, asked.attachments))]
        header = publish_header(name, asked)
        reply = self._caller.send(
            rpcs.PUBLISH, lambda: upload_parts(header, sources, progress), adapter_pb2.Version, timeout
        )
        return read_version(reply)

    def pull(
        self,
        reference: str,
        folder: str | Path | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Pulled:
        """Writes a version's files into a new folder, by default the adapter's name here.

        All of them or none, and every byte verified. Raises OSError, also where the folder is there already.
        """
        target = None if folder is None else Path(folder)
        if target is not None:
            _check_new(target)
        call = self._caller.replies(rpcs.download(reference), timeout)
        with _client_errors(self._caller), never_silent(call, _SILENCE_S) as replies:
            version = read_version(next(replies, pb.DownloadVersionResponse()).version)
            target = target or Path(version.name.rpartition("/")[2])
            with _new_folder(target) as partial:
                receive_files(replies, version.files, partial, progress)
        return Pulled(version, target)

    def resolve(self, reference: str, *, timeout: float | None = None) -> Version:
        """The version that a reference means now: `name`, `name@3`, `name@prod` or `name@sha256:…`."""
        return self._caller.ask(rpcs.resolve(reference), timeout)

    def adapters(self, where: VersionFilter = EVERY_VERSION) -> Iterator[Adapter]:
        """Every adapter that has such a version, sorted by name."""
        return every_item(lambda token: self._caller.ask(rpcs.adapters(token, where)))

    def versions(self, name: str, where: VersionFilter = EVERY_VERSION) -> Iterator[Version]:
        """Every such version of an adapter, the newest first."""
        return every_item(lambda token: self._caller.ask(rpcs.versions(name, token, where)))

    def signatures(self, name: str, version: int) -> tuple[Signature, ...]:
        """The signatures of a version, in the order in which they were added; nothing of them is verified."""
        return self._caller.ask(promotions.signatures(name, version))

    def aliases(self, name: str) -> Iterator[Alias]:
        """Every alias of an adapter, sorted."""
        return every_item(lambda token: self._caller.ask(rpcs.aliases(name, token)))

    def alias(self, name: str, alias: str) -> Alias:
        """An alias: where it points, and its canary; raises AliasNotFound."""
        return self._caller.ask(promotions.one_alias(name, alias))

    def history(self, name: str, alias: str = "", where: MoveFilter = EVERY_MOVE) -> Iterator[AliasMove]:
        """Every such move of an alias, or of all of an adapter, the newest first."""
        return every_item(lambda token: self._caller.ask(rpcs.history(name, alias, token, where)))

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> Alias:
        """Points an alias at a version.

        With `expected_version`, only if it points there now (0: only if it does not exist), or else raises
        AliasMoved.
        """
        return self._caller.ask(promotions.set_alias(name, alias, version, Move(actor, expected_version)))

    def rollback_alias(self, name: str, alias: str, *, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move that was not undone yet, if the alias points at `expected_version` now."""
        return self._caller.ask(rpcs.rollback_alias(name, alias, expected_version, actor))

    def override_gate(self, name: str, alias: str, version: int, *, reason: str, actor: str = "") -> Alias:
        """Points an alias at a version though its gate refuses, for a reason that the history keeps."""
        return self._caller.ask(
            promotions.set_alias(name, alias, version, Move(actor, override_reason=reason))
        )

    def set_canary(
        self,
        name: str,
        alias: str,
        plan: CanaryPlan,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> Alias:
        """Gives a share of an alias's requests to a second version, through its gate, in place of a canary.

        With `expected_version`, only if the alias points there now, or else raises AliasMoved.
        """
        return self._caller.ask(promotions.set_canary(name, alias, plan, Move(actor, expected_version)))

    def promote_canary(self, seen: Alias, *, actor: str = "") -> Alias:
        """Points an alias at its canary's version, through its gate, if both still are as they were seen.

        Raises CanaryNotFound where none was seen, and AliasMoved.
        """
        return self._caller.ask(promotions.promote_canary(seen, actor))

    def abort_canary(self, seen: Alias, *, actor: str = "") -> Alias:
        """Gives all requests to the version that an alias points at, if its canary still is the one seen.

        Raises CanaryNotFound where none was seen, and AliasMoved.
        """
        return self._caller.ask(promotions.abort_canary(seen, actor))

    def gate(self, name: str, alias: str) -> Gate:
        """The gate that an alias carries; raises GateNotFound."""
        return self._caller.ask(promotions.gate(name, alias))

    def set_gate(self, name: str, alias: str, *rules: Rule, actor: str = "") -> Gate:
        """Gives an alias, which need not exist yet, a gate in place of the one that it has."""
        return self._caller.ask(promotions.set_gate(name, alias, rules, actor))

    def clear_gate(self, name: str, alias: str, *, actor: str = "") -> None:
        """Takes an alias's gate away; raises GateNotFound."""
        self._caller.ask(promotions.clear_gate(name, alias, actor))

    def check_gate(self, name: str, alias: str, version: int) -> Verdict:
        """What an alias's gate finds of a version now; moves nothing. Raises GateNotFound."""
        return self._caller.ask(promotions.check_gate(name, alias, version))

    def base_of(self, reference: str) -> SameBase:
        """The base of a version, as a rule for gates."""
        return self._caller.ask(promotions.base_of(reference))

    def delete_alias(
        self,
        name: str,
        alias: str,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> None:
        """Deletes an alias; its history stays."""
        self._caller.ask(rpcs.delete_alias(name, alias, expected_version, actor))

    def delete_version(self, name: str, version: int, *, actor: str = "") -> None:
        """Deletes a version that no alias points at."""
        self._caller.ask(rpcs.delete_version(name, version, actor))

    def delete_adapter(self, name: str, *, force: bool = False, actor: str = "") -> None:
        """Deletes every version of an adapter; with `force` also those that aliases point at."""
        self._caller.ask(rpcs.delete_adapter(name, force, actor))


@contextlib.contextmanager
def _client_errors(caller: Caller) -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise caller.failed(error) from error
    except RemoteError as error:
        raise client_error(error) from error


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Yields a folder beside `target` that takes its place at the end, or vanishes if anything is raised."""
    _check_new(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_new(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it is there already; give a new folder", str(target))
