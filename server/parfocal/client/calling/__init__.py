"""How calls are made, blocking and asyncio: deadlines, retries, cancellation, typed errors."""

from parfocal.client.calling.aio import AsyncCaller, AsyncStream
from parfocal.client.calling.blocking import Caller, Stream
from parfocal.client.calling.retries import Retries
from parfocal.client.calling.rpc import Rpc, StreamRpc

__all__ = ["AsyncCaller", "AsyncStream", "Caller", "Retries", "Rpc", "Stream", "StreamRpc"]
