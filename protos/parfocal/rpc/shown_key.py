"""Channels whose every rpc shows an API key. Calls stay as gRPC makes them: a message costs nothing more."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias

import grpc

HEADER = "authorization"

_Metadata: TypeAlias = Iterable[tuple[str, str | bytes]] | None


class _Rpcs:
    """The rpcs of a channel of either kind, each showing the key."""

    def __init__(self, channel: Any, key: str) -> None:
        self._channel = channel
        self._key = key

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        return _Showing(self._channel.unary_unary(*args, **options), self._key)

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        return _Showing(self._channel.unary_stream(*args, **options), self._key)

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        return _Showing(self._channel.stream_unary(*args, **options), self._key)

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        return _Showing(self._channel.stream_stream(*args, **options), self._key)


class KeyShowingChannel(_Rpcs, grpc.aio.Channel):
    """An asyncio channel that shows `key`. Give an rpc's own metadata by name; its own key comes first."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        state: grpc.ChannelConnectivity = self._channel.get_state(try_to_connect)
        return state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    async def __aenter__(self) -> "KeyShowingChannel":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class BlockingKeyShowingChannel(_Rpcs, grpc.Channel):
    """A blocking channel that shows `key`. Give an rpc's own metadata by name; its own key comes first."""

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False
    ) -> None:
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "BlockingKeyShowingChannel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Showing:
    """One rpc of such a channel; `future` and `with_call` are those of blocking channels."""

    def __init__(self, rpc: Any, key: str) -> None:
        self._rpc = rpc
        self._shown = ((HEADER, f"Bearer {key}"),)

    def __call__(self, *args: Any, metadata: _Metadata = None, **options: Any) -> Any:
        return self._rpc(*args, metadata=self._with(metadata), **options)

    def future(self, *args: Any, metadata: _Metadata = None, **options: Any) -> Any:
        return self._rpc.future(*args, metadata=self._with(metadata), **options)

    def with_call(self, *args: Any, metadata: _Metadata = None, **options: Any) -> Any:
        return self._rpc.with_call(*args, metadata=self._with(metadata), **options)

    def _with(self, metadata: _Metadata) -> tuple[tuple[str, str | bytes], ...]:
        given = tuple(metadata or ())
        return given if any(name == HEADER for name, _ in given) else (*given, *self._shown)
