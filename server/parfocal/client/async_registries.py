"""The registry of a server, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from parfocal.client import rpcs
from parfocal.client.answers import Adapter, Alias, AliasMove, Version
from parfocal.client.asking import Publication
from parfocal.client.calling import AsyncCaller
from parfocal.client.client import Client
from parfocal.client.paging import every_item_async
from parfocal.client.registries import Pulled
from parfocal.client.transfer import Progress


class AsyncRegistryClient:
    """What a registry does, over one server's connection. All calls raise ClientError.

    Files are read, verified and written by a thread, over a connection of the transfer's own (`connect`),
    which is closed when the task is cancelled.
    """

    def __init__(self, caller: AsyncCaller, connect: Callable[[], Client]) -> None:
        self._caller = caller
        self._connect = connect

    async def publish(
        self,
        folder: str | Path,
        name: str,
        publication: Publication | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Version:
        """See RegistryClient; `progress` is told in another thread."""
        with self._connect() as client:
            publish = client.registry.publish
            return await asyncio.to_thread(
                publish, folder, name, publication, progress=progress, timeout=timeout
            )

    async def pull(
        self,
        reference: str,
        folder: str | Path | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Pulled:
        """See RegistryClient; `progress` is told in another thread."""
        with self._connect() as client:
            return await asyncio.to_thread(
                client.registry.pull, reference, folder, progress=progress, timeout=timeout
            )

    async def resolve(self, reference: str, *, timeout: float | None = None) -> Version:
        """The version that a reference means now: `name`, `name@3`, `name@prod` or `name@sha256:…`."""
        return await self._caller.ask(rpcs.resolve(reference), timeout)

    def adapters(self) -> AsyncIterator[Adapter]:
        """Every adapter, sorted by name."""
        return every_item_async(lambda token: self._caller.ask(rpcs.adapters(token)))

    def versions(self, name: str) -> AsyncIterator[Version]:
        """Every version of an adapter, the newest first."""
        return every_item_async(lambda token: self._caller.ask(rpcs.versions(name, token)))

    def aliases(self, name: str) -> AsyncIterator[Alias]:
        """Every alias of an adapter, sorted."""
        return every_item_async(lambda token: self._caller.ask(rpcs.aliases(name, token)))

    def history(self, name: str, alias: str = "") -> AsyncIterator[AliasMove]:
        """Every move of an alias, or of all of an adapter, the newest first."""
        return every_item_async(lambda token: self._caller.ask(rpcs.history(name, alias, token)))

    async def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> Alias:
        """Points an alias at a version; see RegistryClient."""
        return await self._caller.ask(rpcs.set_alias(name, alias, version, expected_version, actor))

    async def rollback_alias(self, name: str, alias: str, *, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move that was not undone yet, if the alias points at `expected_version` now."""
        return await self._caller.ask(rpcs.rollback_alias(name, alias, expected_version, actor))

    async def delete_alias(
        self,
        name: str,
        alias: str,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> None:
        """Deletes an alias; its history stays."""
        await self._caller.ask(rpcs.delete_alias(name, alias, expected_version, actor))

    async def delete_version(self, name: str, version: int, *, actor: str = "") -> None:
        """Deletes a version that no alias points at."""
        await self._caller.ask(rpcs.delete_version(name, version, actor))

    async def delete_adapter(self, name: str, *, force: bool = False, actor: str = "") -> None:
        """Deletes every version of an adapter; with `force` also those that aliases point at."""
        await self._caller.ask(rpcs.delete_adapter(name, force, actor))
