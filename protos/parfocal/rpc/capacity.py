"""Room for so many rpcs at a time, and no more: the rest is refused before anything of it is read."""

import asyncio
from collections.abc import Mapping

import grpc

from parfocal.rpc.errors import TooManyRpcs
from parfocal.rpc.surround import Context, Continuation, RpcMethod

_RETRY_AFTER_S = 1.0


class Room:
    """Room for `most` of something at a time, math.inf for any number; `setting` of the server says how many.

    One event loop takes and gives back; any thread may read.
    """

    def __init__(self, most: float, setting: str) -> None:
        self.most = most
        self.setting = setting
        self.taken = 0
        self.refused = 0

    def take(self, count: int = 1) -> bool:
        """Takes room for `count` more; where there is none, counts a refusal and returns False."""
        if self.taken + count > self.most:
            self.refused += 1
            return False
        self.taken += count
        return True

    def give_back(self, count: int = 1) -> None:
        """Frees what was taken."""
        self.taken -= count


class CapacityInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Refuses an rpc with TooManyRpcs where there is no room for it, in `rpcs` or that of its service.

    gRPC's own services have room apart, in `probes`: they are answered by a full server too.
    """

    def __init__(self, rpcs: Room, probes: Room) -> None:
        self._rpcs = rpcs
        self._probes = probes
        self._services: dict[str, Room] = {}

    def bound(self, services: Mapping[str, Room]) -> None:
        """Gives services, by their full names, room of their own within that of all."""
        self._services |= services

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc, or one that refuses."""
        taken: list[Room] = []
        for room in self._rooms(handler_call_details.method):
            if not room.take():
                _give_back(taken)
                return _refusing(handler_call_details.method, room)
            taken.append(room)
        task = asyncio.current_task()
        assert task is not None, "gRPC serves each rpc in a task of its own"
        # Not in a scope around the rpc: a caller may be gone before any is entered.
        task.add_done_callback(lambda _: _give_back(taken))
        return await continuation(handler_call_details)

    def _rooms(self, method: str) -> list[Room]:
        service = method[1:].partition("/")[0]
        if service.startswith("grpc."):
            return [self._probes]
        own = self._services.get(service)
        return [self._rpcs] if own is None else [self._rpcs, own]


def _give_back(rooms: list[Room]) -> None:
    for room in rooms:
        room.give_back()


def _refusing(method: str, room: Room) -> RpcMethod:
    flag = f"--{room.setting.replace('_', '-')}"
    advice = f"; try again soon, or give the server more with {flag}" if room.setting else "; try again soon"

    async def refuse(requests: object, context: Context) -> None:
        raise TooManyRpcs(
            f"the server already serves {room.most} rpcs like {method}, as many as it may{advice}",
            retry_after_s=_RETRY_AFTER_S,
            method=method,
            limit=str(room.most),
            setting=room.setting,
        )

    # The caller may take it for any kind of rpc; any kind can be refused before its first message.
    return grpc.stream_stream_rpc_method_handler(refuse)
