"""The registry of a server, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from parfocal.client import promotions, rpcs
from parfocal.client.answers import Adapter, Alias, AliasMove, Signature, Version
from parfocal.client.asking import EVERY_MOVE, EVERY_VERSION, MoveFilter, Publication, VersionFilter
from parfocal.client.calling import AsyncCaller
from parfocal.client.canaries import CanaryPlan
from parfocal.client.client import Client
from parfocal.client.gates import Gate, Rule, SameBase, Verdict
from parfocal.client.paging import every_item_async
from parfocal.client.promotions import Move
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

    def adapters(self, where: VersionFilter = EVERY_VERSION) -> AsyncIterator[Adapter]:
        """Every adapter that has such a version, sorted by name."""
        return every_item_async(lambda token: self._caller.ask(rpcs.adapters(token, where)))

    def versions(self, name: str, where: VersionFilter = EVERY_VERSION) -> AsyncIterator[Version]:
        """Every such version of an adapter, the newest first."""
        return every_item_async(lambda token: self._caller.ask(rpcs.versions(name, token, where)))

    async def signatures(self, name: str, version: int) -> tuple[Signature, ...]:
        """The signatures of a version, in the order in which they were added; nothing of them is verified."""
        return await self._caller.ask(promotions.signatures(name, version))

    def aliases(self, name: str) -> AsyncIterator[Alias]:
        """Every alias of an adapter, sorted."""
        return every_item_async(lambda token: self._caller.ask(rpcs.aliases(name, token)))

    async def alias(self, name: str, alias: str) -> Alias:
        """An alias: where it points, and its canary; raises AliasNotFound."""
        return await self._caller.ask(promotions.one_alias(name, alias))

    def history(self, name: str, alias: str = "", where: MoveFilter = EVERY_MOVE) -> AsyncIterator[AliasMove]:
        """Every such move of an alias, or of all of an adapter, the newest first."""
        return every_item_async(lambda token: self._caller.ask(rpcs.history(name, alias, token, where)))

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
        return await self._caller.ask(
            promotions.set_alias(name, alias, version, Move(actor, expected_version))
        )

    async def rollback_alias(self, name: str, alias: str, *, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move that was not undone yet, if the alias points at `expected_version` now."""
        return await self._caller.ask(rpcs.rollback_alias(name, alias, expected_version, actor))

    async def override_gate(
        self, name: str, alias: str, version: int, *, reason: str, actor: str = ""
    ) -> Alias:
        """Points an alias at a version though its gate refuses, for a reason that the history keeps."""
        return await self._caller.ask(
            promotions.set_alias(name, alias, version, Move(actor, override_reason=reason))
        )

    async def set_canary(
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
        return await self._caller.ask(promotions.set_canary(name, alias, plan, Move(actor, expected_version)))

    async def promote_canary(self, seen: Alias, *, actor: str = "") -> Alias:
        """Points an alias at its canary's version, through its gate, if both still are as they were seen.

        Raises CanaryNotFound where none was seen, and AliasMoved.
        """
        return await self._caller.ask(promotions.promote_canary(seen, actor))

    async def abort_canary(self, seen: Alias, *, actor: str = "") -> Alias:
        """Gives all requests to the version that an alias points at, if its canary still is the one seen.

        Raises CanaryNotFound where none was seen, and AliasMoved.
        """
        return await self._caller.ask(promotions.abort_canary(seen, actor))

    async def gate(self, name: str, alias: str) -> Gate:
        """The gate that an alias carries; raises GateNotFound."""
        return await self._caller.ask(promotions.gate(name, alias))

    async def set_gate(self, name: str, alias: str, *rules: Rule, actor: str = "") -> Gate:
        """Gives an alias, which need not exist yet, a gate in place of the one that it has."""
        return await self._caller.ask(promotions.set_gate(name, alias, rules, actor))

    async def clear_gate(self, name: str, alias: str, *, actor: str = "") -> None:
        """Takes an alias's gate away; raises GateNotFound."""
        await self._caller.ask(promotions.clear_gate(name, alias, actor))

    async def check_gate(self, name: str, alias: str, version: int) -> Verdict:
        """What an alias's gate finds of a version now; moves nothing. Raises GateNotFound."""
        return await self._caller.ask(promotions.check_gate(name, alias, version))

    async def base_of(self, reference: str) -> SameBase:
        """The base of a version, as a rule for gates."""
        return await self._caller.ask(promotions.base_of(reference))

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
