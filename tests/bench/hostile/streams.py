"""Streams whose tokens are timed: what users of a server feel of its other callers."""

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise

import grpc

from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.inference_service_pb2_grpc import InferenceServiceStub

NEW_TOKENS = 128


async def token_gaps(address: str, streams: int, seconds: float) -> list[float]:
    """Seconds from each token of a stream to its next, of `streams` at a time for `seconds`."""
    gaps: list[float] = []
    until = time.monotonic() + seconds
    async with grpc.aio.insecure_channel(address) as channel:
        stub = InferenceServiceStub(channel)

        async def follow(number: int) -> None:
            turn = 0
            while time.monotonic() < until:
                turn += 1
                gaps.extend(await _gaps_of_one(stub, f"Stream {number}, turn {turn}: once upon a time"))

        await asyncio.gather(*(follow(number) for number in range(streams)))
    return gaps


async def _gaps_of_one(stub: InferenceServiceStub, prompt: str) -> list[float]:
    request = pb.GenerateRequest(prompt=prompt, stop=pb.Stop(max_tokens=NEW_TOKENS, ignore_eos=True))
    moments = [
        time.perf_counter()
        async for reply in stub.GenerateStream(request)  # type: ignore[attr-defined]
        if reply.delta_token_ids
    ]
    return [later - earlier for earlier, later in pairwise(moments)]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
