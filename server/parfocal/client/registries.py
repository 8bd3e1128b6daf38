"""The registry of a server: versions published and pulled, aliases moved, history read."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from parfocal.client import rpcs
from parfocal.client.answers import Adapter, Alias, AliasMove, Version, read_version
from parfocal.client.asking import Publication, publish_header
from parfocal.client.calling import Caller
from parfocal.client.errors import client_error
from parfocal.client.paging import every_item
from parfocal.client.transfer import Progress, folder_sources, never_silent, receive_files, upload_parts
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
        sources = folder_sources(Path(folder))
        header = publish_header(name, publication or Publication())
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

    def adapters(self) -> Iterator[Adapter]:
        """Every adapter, sorted by name."""
        return every_item(lambda token: self._caller.ask(rpcs.adapters(token)))

    def versions(self, name: str) -> Iterator[Version]:
        """Every version of an adapter, the newest first."""
        return every_item(lambda token: self._caller.ask(rpcs.versions(name, token)))

    def aliases(self, name: str) -> Iterator[Alias]:
        """Every alias of an adapter, sorted."""
        return every_item(lambda token: self._caller.ask(rpcs.aliases(name, token)))

    def history(self, name: str, alias: str = "") -> Iterator[AliasMove]:
        """Every move of an alias, or of all of an adapter, the newest first."""
        return every_item(lambda token: self._caller.ask(rpcs.history(name, alias, token)))

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
        return self._caller.ask(rpcs.set_alias(name, alias, version, expected_version, actor))

    def rollback_alias(self, name: str, alias: str, *, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move that was not undone yet, if the alias points at `expected_version` now."""
        return self._caller.ask(rpcs.rollback_alias(name, alias, expected_version, actor))

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
