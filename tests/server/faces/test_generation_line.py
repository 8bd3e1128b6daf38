"""What the log tells of a generation, over a real channel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc
import pytest

from fakes.serving import Served, serving
from parfocal.engine import AdapterKey, StepFailed
from parfocal.v1 import inference_service_pb2 as pb

V2 = AdapterKey("sha256:" + "2" * 64, "team/invoices", 2)
SECRET = "the prompt is nobody's business"


def told(
    caplog: pytest.LogCaptureFixture, scenario: Callable[[Served], Awaitable[None]]
) -> dict[str, object]:
    """Returns the facts of the one line that a scenario leaves."""

    async def run() -> None:
        async with serving() as served:
            served.resolver.adapters["team/invoices@prod"] = V2
            await scenario(served)
            while served.wire.under_way:
                await asyncio.sleep(0.001)

    caplog.set_level(logging.INFO, "parfocal")
    asyncio.run(run())
    [line] = [record for record in caplog.records if record.name == "parfocal.access"]
    assert SECRET not in caplog.text and "Once" not in caplog.text
    facts: dict[str, object] = vars(line)["facts"]
    assert SECRET not in str(facts) and "Once" not in str(facts)
    return facts


def request(**fields: object) -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt=SECRET, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_is_told_with_adapter_tokens_times_and_end(
    caplog: pytest.LogCaptureFixture, streams: bool
) -> None:
    async def scenario(served: Served) -> None:
        asked = request(adapter="team/invoices@prod", request_id="mine")
        if streams:
            assert [reply async for reply in served.stub.GenerateStream(asked)]
        else:
            await served.stub.Generate(asked)

    facts = told(caplog, scenario)

    assert float(str(facts.pop("total_s"))) >= 0 and str(facts.pop("peer")).startswith("ipv4:127.0.0.1:")
    assert facts == {
        "request_id": "mine",
        "status": "OK",
        "adapter": "team/invoices@2",
        "digest": V2.digest,
        "prompt_tokens": len(SECRET),
        "cached_tokens": 2,
        "completion_tokens": 4,
        "finish_reason": "stop",
        "queue_s": 0.25,
        "load_s": 0.125,
        "prefill_s": 0.5,
        "decode_s": 1.5,
    }


def test_the_id_that_the_server_gives_is_the_one_it_logs(caplog: pytest.LogCaptureFixture) -> None:
    replies: list[pb.GenerateResponse] = []

    async def scenario(served: Served) -> None:
        replies.append(await served.stub.Generate(request()))

    facts = told(caplog, scenario)

    assert facts["request_id"] == replies[0].request_id
    assert (facts["adapter"], "digest" in facts) == ("base", False)


@pytest.mark.parametrize(
    ("reference", "stop", "status", "adapter"),
    [
        ("team/nobody", pb.Stop(), "NOT_FOUND", "team/nobody"),
        ("team/invoices@prod", pb.Stop(strings=[""]), "INVALID_ARGUMENT", "team/invoices@prod"),
        ("team/invoices@prod", pb.Stop(max_tokens=-1), "INVALID_ARGUMENT", "team/invoices@2"),
    ],
)
def test_a_refused_request_is_told_as_far_as_it_came(
    caplog: pytest.LogCaptureFixture, reference: str, stop: pb.Stop, status: str, adapter: str
) -> None:
    async def scenario(served: Served) -> None:
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.Generate(request(request_id="mine", adapter=reference, stop=stop))

    facts = told(caplog, scenario)

    assert (facts["request_id"], facts["status"], facts["adapter"]) == ("mine", status, adapter)
    assert "finish_reason" not in facts


def test_a_stream_that_its_caller_gives_up_is_told_with_what_was_generated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(served: Served) -> None:
        served.engine.closes_after = 2
        stream = served.stub.GenerateStream(request())
        await stream.read()
        await stream.read()
        stream.cancel()
        await served.engine.submitted[0].cancelled.wait()

    facts = told(caplog, scenario)

    assert facts["status"] == "CANCELLED"
    assert (facts["prompt_tokens"], facts["completion_tokens"]) == (len(SECRET), 2)


def test_a_step_that_failed_is_logged_whole_under_the_callers_id(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(served: Served) -> None:
        served.engine.failure = StepFailed("the model failed on this request")
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.Generate(request(request_id="mine"))

    facts = told(caplog, scenario)

    [fault] = [record for record in caplog.records if record.exc_info]
    assert (facts["status"], facts["reason"]) == ("INTERNAL", "STEP_FAILED")
    assert fault.levelno == logging.ERROR
    assert vars(fault)["facts"] == {"request_id": "mine", "status": "INTERNAL"}
