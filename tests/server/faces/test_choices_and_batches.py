"""Several answers to one request, and several requests in one rpc."""

import asyncio

import grpc
import pytest

from fakes.serving import serving
from parfocal.engine import AdapterKey, StepFailed
from parfocal.rpc import remote_error
from parfocal.v1 import inference_service_pb2 as pb

KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 1)


def asking(choices: int, seed: int | None = None) -> pb.GenerateRequest:
    request = pb.GenerateRequest(prompt="Hello", options=pb.Options(choices=choices), request_id="mine")
    if seed is not None:
        request.sampling.temperature = 1.0
        request.sampling.seed = seed
    return request


def test_all_choices_come_back_in_order_and_the_first_stands_in_the_usual_fields() -> None:
    async def scenario() -> tuple[pb.GenerateResponse, list[str]]:
        async with serving() as served:
            reply = await served.stub.Generate(asking(3))
            return reply, [each.request.request_id for each in served.engine.submitted]

    reply, ids = asyncio.run(scenario())

    assert [each.text for each in reply.choices] == ["Once upon a time"] * 3
    assert reply.text == "Once upon a time"
    assert reply.request_id == "mine"
    assert reply.usage == pb.Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=12)
    assert ids == ["mine/0", "mine/1", "mine/2"]


def test_a_single_choice_is_not_repeated_in_the_list() -> None:
    async def scenario() -> pb.GenerateResponse:
        async with serving() as served:
            return await served.stub.Generate(asking(1))

    assert not asyncio.run(scenario()).choices


@pytest.mark.parametrize(("seed", "expected"), [(7, [7, 8]), (2**63 - 1, [2**63 - 1, -(2**63)])])
def test_each_choice_draws_with_the_seed_that_follows(seed: int, expected: list[int]) -> None:
    async def scenario() -> list[int | None]:
        async with serving() as served:
            await served.stub.Generate(asking(2, seed))
            return [each.request.sampling.seed for each in served.engine.submitted]

    assert asyncio.run(scenario()) == expected


def test_a_stream_tells_each_choice_apart_and_ends_with_all_of_them() -> None:
    async def scenario() -> list[pb.GenerateStreamResponse]:
        async with serving() as served:
            return [each async for each in served.stub.GenerateStream(asking(2))]

    messages = asyncio.run(scenario())

    for choice in (0, 1):
        mine = [each for each in messages if each.choice == choice]
        assert "".join(each.delta_text for each in mine) == "Once upon a time"
        assert [each.finish_reason for each in mine if each.finish_reason] == [pb.FINISH_REASON_STOP]
    assert [each.HasField("final") for each in messages] == [False] * (len(messages) - 1) + [True]
    assert len(messages[-1].final.choices) == 2


def test_where_one_choice_fails_the_others_are_cancelled() -> None:
    async def scenario() -> tuple[str, list[bool]]:
        async with serving() as served:
            served.engine.failure = StepFailed("the step failed")
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(asking(2))
            streams = served.engine.submitted
            return remote_error(failed.value).reason, [
                each.ended.is_set() or each.cancelled.is_set() for each in streams
            ]

    assert asyncio.run(scenario()) == ("STEP_FAILED", [True, True])


def test_a_caller_who_leaves_ends_every_choice() -> None:
    async def scenario() -> list[bool]:
        async with serving() as served:
            served.engine.gate.clear()
            call = served.stub.Generate(asking(3))
            while len(served.engine.submitted) < 3:
                await asyncio.sleep(0.01)
            call.cancel()
            async with asyncio.timeout(10):
                for stream in served.engine.submitted:
                    await stream.cancelled.wait()
            return [stream.cancelled.is_set() for stream in served.engine.submitted]

    assert asyncio.run(scenario()) == [True] * 3


def test_no_choice_at_all_is_refused() -> None:
    async def scenario() -> str | None:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(asking(0))
            return remote_error(failed.value).field

    assert asyncio.run(scenario()) == "options.choices"


def test_each_request_of_a_batch_ends_by_itself() -> None:
    async def scenario() -> pb.GenerateBatchResponse:
        async with serving() as served:
            served.resolver.adapters["team/invoices"] = KEY
            batch = pb.GenerateBatchRequest(
                requests=[
                    pb.GenerateRequest(adapter="team/invoices", prompt="Hello"),
                    pb.GenerateRequest(adapter="team/nobody", prompt="Hello"),
                    pb.GenerateRequest(request_id="third"),
                    pb.GenerateRequest(prompt="Hello", request_id="last"),
                ]
            )
            return await served.stub.GenerateBatch(batch)

    first, unknown, empty, last = asyncio.run(scenario()).results
    assert first.response.adapter.name == "team/invoices"
    assert first.response.request_id.endswith("/0")
    assert unknown.error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert unknown.error.details
    assert empty.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert last.response.request_id == "last"


def test_a_caller_who_leaves_ends_the_whole_batch() -> None:
    async def scenario() -> list[bool]:
        async with serving() as served:
            served.engine.gate.clear()
            call = served.stub.GenerateBatch(
                pb.GenerateBatchRequest(requests=[pb.GenerateRequest(prompt="Hello")] * 3)
            )
            while len(served.engine.submitted) < 3:
                await asyncio.sleep(0.01)
            call.cancel()
            async with asyncio.timeout(10):
                for stream in served.engine.submitted:
                    await stream.cancelled.wait()
            return [stream.cancelled.is_set() for stream in served.engine.submitted]

    assert asyncio.run(scenario()) == [True] * 3


def test_an_empty_batch_is_refused() -> None:
    async def scenario() -> str | None:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.GenerateBatch(pb.GenerateBatchRequest())
            return remote_error(failed.value).field

    assert asyncio.run(scenario()) == "requests"
