"""Asks our own server over gRPC and times every token as it arrives. Knows no figures."""

import asyncio
import time
from collections.abc import Sequence

import grpc

from parfocal.bench.errors import AnswerWrong
from parfocal.bench.load.rounds import Pace, Reply, Round, answer_all
from parfocal.bench.workloads import Call
from parfocal.rpc import open_blocking_channel, open_channel, remote_error
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc


def model_at(address: str) -> pb.Model:
    """What the server says of its base and limits; raises RemoteError."""
    with open_blocking_channel(address) as channel:
        try:
            return pb_grpc.InferenceServiceStub(channel).GetModel(pb.GetModelRequest())
        except grpc.RpcError as error:
            raise remote_error(error) from error


def run_round(address: str, calls: Sequence[Call], new_tokens: int, pace: Pace | None = None) -> Round:
    """Sends each call when it arrives and reads it to its end.

    Raises RemoteError for a request that fails and AnswerWrong for an answer that is not what was asked for.
    """
    return asyncio.run(_round(address, calls, new_tokens, pace))


async def _round(address: str, calls: Sequence[Call], new_tokens: int, pace: Pace | None) -> Round:
    async with open_channel(address) as channel:
        await channel.channel_ready()
        stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
        return await answer_all(calls, new_tokens, lambda call: _reply(stub, call, new_tokens), pace)


async def _reply(stub: "pb_grpc.InferenceServiceAsyncStub", call: Call, new_tokens: int) -> Reply:
    request = pb.GenerateRequest(
        adapter=call.adapter,
        tokens=pb.Tokens(ids=call.prompt_ids),
        sampling=pb.Sampling(temperature=0.0),
        stop=pb.Stop(max_tokens=new_tokens, ignore_eos=True),
    )
    arrivals: list[float] = []
    final = pb.GenerateResponse()
    try:
        async for message in stub.GenerateStream(request):
            arrivals += _arrivals(message, arrivals, time.perf_counter())
            if message.HasField("final"):
                final = message.final
    except grpc.RpcError as error:
        raise remote_error(error) from error
    _check(call, new_tokens, len(arrivals), final)
    return Reply(arrivals, final.usage.cached_tokens)


def _arrivals(message: pb.GenerateStreamResponse, before: Sequence[float], now: float) -> list[float]:
    """Spreads a message's tokens over the time since the one before; the first message's all arrive now."""
    count = len(message.delta_token_ids)
    last = before[-1] if before else now
    return [last + (now - last) * (place + 1) / count for place in range(count)]


def _check(call: Call, new_tokens: int, arrived: int, final: pb.GenerateResponse) -> None:
    if final.usage.completion_tokens != new_tokens or arrived != new_tokens:
        ended = pb.FinishReason.Name(final.finish_reason)
        raise AnswerWrong(
            f"an answer of {call.adapter or 'the base'} has {arrived} tokens ({ended}), not {new_tokens}"
        )
    if final.adapter.name != call.adapter:
        raise AnswerWrong(
            f"{final.adapter.name or 'the base'} answered a request for {call.adapter or 'the base'}"
        )
