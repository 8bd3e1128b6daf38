"""A reply of thousands of log probabilities is written while other rpcs have their turns."""

import asyncio

from parfocal.engine import Completion, FinishReason, Timings, TokenLogprob
from parfocal.server.faces.grpc.replies import ReplyWriter
from parfocal.v1 import inference_service_pb2 as pb


def completion(tokens: int) -> Completion:
    logprobs = tuple(TokenLogprob(number, -0.5, ((number, -0.5), (1, -1.5))) for number in range(tokens))
    ids = tuple(range(tokens))
    return Completion("r", "", ids, FinishReason.LENGTH, "", logprobs, 1, 0, Timings(), None)


async def written(tokens: int) -> tuple[pb.GenerateResponse, int]:
    """The reply, and how often another task had a turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(count())
    reply = await ReplyWriter(str).completion(completion(tokens))
    other.cancel()
    return reply, turns


def test_a_long_reply_lets_others_have_their_turns() -> None:
    reply, turns = asyncio.run(written(5000))
    assert [each.token_id for each in reply.logprobs] == list(range(5000))
    assert reply.logprobs[4999].text == "4999"
    assert turns > 50


def test_a_short_reply_is_written_at_once() -> None:
    reply, turns = asyncio.run(written(3))
    assert (len(reply.logprobs), turns) == (3, 0)
