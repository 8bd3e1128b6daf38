"""Generate and GenerateStream over a real channel: what is answered, resolved, counted and cancelled."""

import asyncio

import grpc
import pytest

from fakes.serving import Served, serving
from parfocal.engine import AdapterKey, InvalidRequest, QueueFull, Sampling, StepFailed
from parfocal.rpc import remote_error
from parfocal.v1 import inference_service_pb2 as pb

V1 = AdapterKey("sha256:" + "1" * 64, "team/invoices", 1)
V2 = AdapterKey("sha256:" + "2" * 64, "team/invoices", 2)


async def _text(served: Served, **fields: object) -> str:
    reply = await served.stub.Generate(pb.GenerateRequest(prompt="next", **fields))  # type: ignore[arg-type]
    return reply.text


def test_an_answer_carries_text_tokens_usage_timings_and_the_resolved_adapter() -> None:
    async def scenario() -> pb.GenerateResponse:
        async with serving() as served:
            served.resolver.adapters["team/invoices@prod"] = V2
            return await served.stub.Generate(
                pb.GenerateRequest(adapter="team/invoices@prod", prompt="Hello", request_id="mine")
            )

    reply = asyncio.run(scenario())

    assert reply.text == "Once upon a time"
    assert list(reply.token_ids) == [1, 2, 3, 4]
    assert reply.finish_reason == pb.FINISH_REASON_STOP
    assert reply.usage == pb.Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=4)
    assert reply.adapter == pb.ResolvedAdapter(name="team/invoices", version=2, digest=V2.digest)
    assert reply.timings.queue.ToTimedelta().total_seconds() == 0.25
    assert reply.timings.decode.ToTimedelta().total_seconds() == 1.5
    assert reply.request_id == "mine"


def test_the_base_answers_without_an_adapter_and_the_server_names_the_request() -> None:
    async def scenario() -> pb.GenerateResponse:
        async with serving() as served:
            return await served.stub.Generate(pb.GenerateRequest(tokens=pb.Tokens(ids=[7, 8])))

    reply = asyncio.run(scenario())

    assert not reply.HasField("adapter")
    assert len(reply.request_id) == 32


def test_a_stream_sends_deltas_and_the_whole_result_last() -> None:
    async def scenario() -> list[pb.GenerateStreamResponse]:
        async with serving() as served:
            return [reply async for reply in served.stub.GenerateStream(pb.GenerateRequest(prompt="Hello"))]

    replies = asyncio.run(scenario())

    assert [reply.delta_text for reply in replies] == ["Once", " upon", " a", " time", ""]
    assert [list(reply.delta_token_ids) for reply in replies] == [[1], [2], [3], [4], []]
    assert [reply.HasField("final") for reply in replies] == [False] * 4 + [True]
    assert replies[-1].final.text == "Once upon a time"


def test_echo_begins_the_text_with_the_prompt() -> None:
    async def scenario() -> tuple[str, str, str]:
        async with serving() as served:
            options = pb.Options(echo=True)
            plain = await served.stub.Generate(pb.GenerateRequest(prompt="Say: ", options=options))
            tokens = pb.Tokens(ids=[ord("h"), ord("i")])
            given = await served.stub.Generate(pb.GenerateRequest(tokens=tokens, options=options))
            stream = served.stub.GenerateStream(pb.GenerateRequest(prompt="Say: ", options=options))
            streamed = "".join([reply.delta_text async for reply in stream])
            return plain.text, given.text, streamed

    assert asyncio.run(scenario()) == (
        "Say: Once upon a time",
        "hiOnce upon a time",
        "Say: Once upon a time",
    )


def test_logprobs_come_with_each_tokens_text() -> None:
    async def scenario() -> tuple[pb.GenerateResponse, list[pb.GenerateStreamResponse]]:
        async with serving() as served:
            request = pb.GenerateRequest(prompt="Hello", options=pb.Options(logprobs=True, top_logprobs=2))
            stream = served.stub.GenerateStream(request)
            return await served.stub.Generate(request), [reply async for reply in stream]

    reply, replies = asyncio.run(scenario())

    assert [each.text for each in reply.logprobs] == ["A", "B", "C", "D"]
    assert [each.text for each in reply.logprobs[0].top] == ["2", "3"]
    assert [each.text for each in replies[1].delta_logprobs] == ["B"]


def test_a_chat_is_written_with_the_bases_template() -> None:
    async def scenario() -> str:
        async with serving() as served:
            chat = pb.Chat(
                messages=[pb.Message(role="system", content="S"), pb.Message(role="user", content="U")]
            )
            await served.stub.Generate(pb.GenerateRequest(chat=chat))
            return "".join(map(chr, served.engine.submitted[0].request.prompt_ids))

    assert asyncio.run(scenario()) == "s:S\nu:U\na:"


def test_sampling_and_stop_reach_the_engine_as_they_were_sent() -> None:
    async def scenario() -> tuple[object, object]:
        async with serving() as served:
            request = pb.GenerateRequest(
                prompt="Hello",
                sampling=pb.Sampling(temperature=0.5, top_k=0, min_p=0.25, seed=0),
                stop=pb.Stop(max_tokens=9, strings=["\n"], token_ids=[3], ignore_eos=True),
            )
            await served.stub.Generate(request)
            submitted = served.engine.submitted[0].request
            return submitted.sampling, submitted.stop

    sampling, stop = asyncio.run(scenario())

    assert sampling == Sampling(temperature=0.5, top_k=0, min_p=0.25, seed=0)
    assert str(stop) == "Stop(max_tokens=9, min_tokens=0, strings=('\\n',), token_ids=(3,), ignore_eos=True)"


def test_an_alias_that_moves_while_a_stream_runs_counts_from_the_next_request_on() -> None:
    async def scenario() -> tuple[str, str]:
        async with serving() as served:
            served.resolver.adapters["team/invoices@prod"] = V1
            served.engine.gate.clear()
            old = served.stub.GenerateStream(pb.GenerateRequest(adapter="team/invoices@prod", prompt="old"))
            reading = asyncio.ensure_future(_last(old))
            while not served.engine.submitted:
                await asyncio.sleep(0.001)
            served.resolver.adapters["team/invoices@prod"] = V2
            served.engine.gate.set()
            new = await served.stub.Generate(pb.GenerateRequest(adapter="team/invoices@prod", prompt="new"))
            return (await reading).adapter.digest, new.adapter.digest

    assert asyncio.run(scenario()) == (V1.digest, V2.digest)


async def _last(
    stream: grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateStreamResponse],
) -> pb.GenerateResponse:
    return [reply async for reply in stream][-1].final


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_goes_away_cancels_its_request(streamed: bool) -> None:
    async def scenario() -> str:
        async with serving() as served:
            served.engine.gate.clear()
            request = pb.GenerateRequest(prompt="Hello")
            call = served.stub.GenerateStream(request) if streamed else served.stub.Generate(request)
            while not served.engine.submitted:
                await asyncio.sleep(0.001)
            call.cancel()
            await asyncio.wait_for(served.engine.submitted[0].cancelled.wait(), 10)
            served.engine.gate.set()
            return await _text(served)

    assert asyncio.run(scenario()) == "Once upon a time"


def test_a_client_that_stops_reading_and_goes_away_cancels_its_request() -> None:
    async def scenario() -> str:
        async with serving() as served:
            served.engine.words = ("x" * 100_000,) * 1000
            call = served.stub.GenerateStream(pb.GenerateRequest(prompt="Hello"))
            await call.read()
            await asyncio.sleep(0.1)
            call.cancel()
            await asyncio.wait_for(served.engine.submitted[0].cancelled.wait(), 10)
            served.engine.words = ("fine",)
            return await _text(served)

    assert asyncio.run(scenario()) == "fine"


def test_an_answered_request_is_not_cancelled_afterwards() -> None:
    async def scenario() -> bool:
        async with serving() as served:
            await _text(served, request_id="again")
            await _text(served, request_id="again")
            return any(stream.cancelled.is_set() for stream in served.engine.submitted)

    assert asyncio.run(scenario()) is False


def test_a_deadline_reaches_the_engine_a_little_early() -> None:
    async def scenario() -> tuple[float, float, float | None]:
        async with serving() as served:
            begun = asyncio.get_running_loop().time()
            await served.stub.Generate(pb.GenerateRequest(prompt="Hello"), timeout=50)
            ended = asyncio.get_running_loop().time()
            await served.stub.Generate(pb.GenerateRequest(prompt="Hello"))
            first, second = (stream.request.deadline for stream in served.engine.submitted)
            assert first is not None
            return first - begun, first - ended, second

    after_beginning, after_end, without = asyncio.run(scenario())

    assert after_beginning > 40 and after_end < 49.9
    assert without is None


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (QueueFull("1024 requests wait already", retry_after_s=1.0), "RESOURCE_EXHAUSTED", "QUEUE_FULL"),
        (InvalidRequest("request_id is in use", field="request_id"), "INVALID_ARGUMENT", "INVALID_REQUEST"),
    ],
)
def test_a_refused_request_gets_its_status_and_is_counted(error: Exception, status: str, reason: str) -> None:
    async def scenario() -> tuple[str, str, float, str]:
        async with serving() as served:
            served.resolver.adapters["team/invoices@prod"] = V1
            served.engine.refusal = error
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(pb.GenerateRequest(adapter="team/invoices@prod", prompt="Hello"))
            served.engine.refusal = None
            remote = remote_error(failed.value)
            counted = served.requests("team/invoices", "1", reason.lower())
            return remote.status, remote.reason, counted, await _text(served)

    assert asyncio.run(scenario()) == (status, reason, 1, "Once upon a time")


def test_a_failure_in_mid_stream_ends_that_stream_with_its_status() -> None:
    async def scenario() -> tuple[str, str, str]:
        async with serving() as served:
            served.engine.failure = StepFailed("the model failed on this request")
            stream = served.stub.GenerateStream(pb.GenerateRequest(prompt="Hello"))
            first = await stream.read()
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stream.read()
            served.engine.failure = None
            assert isinstance(first, pb.GenerateStreamResponse)
            return first.delta_text, remote_error(failed.value).reason, await _text(served)

    assert asyncio.run(scenario()) == ("Once", "STEP_FAILED", "Once upon a time")


def test_unknown_adapters_are_refused_by_name_and_make_no_labels() -> None:
    async def scenario() -> tuple[set[str], float, str]:
        async with serving() as served:
            reasons = set()
            for number in range(3):
                with pytest.raises(
                    grpc.aio.AioRpcError, match=f"there is no adapter ghost-{number}"
                ) as failed:
                    await served.stub.Generate(pb.GenerateRequest(adapter=f"ghost-{number}", prompt="Hello"))
                reasons.add(remote_error(failed.value).reason)
            return reasons, served.requests("unknown", "", "adapter_not_found"), await _text(served)

    assert asyncio.run(scenario()) == ({"ADAPTER_NOT_FOUND"}, 3, "Once upon a time")
