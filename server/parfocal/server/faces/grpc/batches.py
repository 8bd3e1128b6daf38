"""Many requests in one rpc: each is answered, or ends with a status, by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from parfocal.rpc import Call, status_of
from parfocal.server.requests import PartLine, summed
from parfocal.v1 import inference_service_pb2 as pb

Answer = Callable[[pb.GenerateRequest, PartLine], Awaitable[pb.GenerateResponse]]


async def answer_each(
    requests: Sequence[pb.GenerateRequest], answer: Answer, call: Call
) -> pb.GenerateBatchResponse:
    """All of them at the same time. Those without an id get the rpc's with their place."""
    lines = [PartLine(each.request_id or f"{call.request_id}/{place}") for place, each in enumerate(requests)]
    ended = await asyncio.gather(*map(answer, requests, lines), return_exceptions=True)
    results = [
        pb.GenerateBatchResult(error=status_of(each))
        if isinstance(each, BaseException)
        else pb.GenerateBatchResult(response=each)
        for each in ended
    ]
    failed = sum(each.HasField("error") for each in results)
    call.status, call.reason = "OK", ""
    call.facts |= {"requests": len(requests), "failed": failed, **summed(lines)}
    return pb.GenerateBatchResponse(results=results)
