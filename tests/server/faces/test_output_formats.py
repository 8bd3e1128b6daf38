"""The form of an answer over gRPC: read, compiled, and told where it was not reached."""

import asyncio

import grpc
import pytest

from fakes.serving import serving
from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints import Choice, ConstraintSpec, Grammar, JsonObject, JsonSchema, Regex
from parfocal.rpc import remote_error
from parfocal.v1 import inference_service_pb2 as pb

FORMATS = [
    (pb.OutputFormat(json_object=True), JsonObject()),
    (pb.OutputFormat(json_schema="{}"), JsonSchema("{}")),
    (pb.OutputFormat(regex="a+"), Regex("a+")),
    (pb.OutputFormat(grammar='root ::= "a"'), Grammar('root ::= "a"')),
    (pb.OutputFormat(choice=pb.OutputFormat.Choice(texts=["yes", "no"])), Choice(("yes", "no"))),
]


@pytest.mark.parametrize(("given", "expected"), FORMATS)
def test_each_form_is_compiled(given: pb.OutputFormat, expected: ConstraintSpec) -> None:
    async def scenario() -> list[ConstraintSpec]:
        async with serving() as served:
            await served.stub.Generate(pb.GenerateRequest(prompt="x", output_format=given))
            return served.compiler.asked

    assert asyncio.run(scenario()) == [expected]


@pytest.mark.parametrize("given", [pb.OutputFormat(), pb.OutputFormat(json_object=False)])
def test_a_form_that_says_nothing_is_refused(given: pb.OutputFormat) -> None:
    async def scenario() -> str | None:
        async with serving() as served:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(pb.GenerateRequest(prompt="x", output_format=given))
            return remote_error(failed.value).field

    assert asyncio.run(scenario()) == "output_format"


def test_what_cannot_be_kept_is_refused_before_anything_runs() -> None:
    async def scenario() -> tuple[str | None, int]:
        async with serving() as served:
            served.compiler.refusal = ConstraintRefused("$.not: cannot be kept", field="output_format")
            request = pb.GenerateRequest(prompt="x", output_format=pb.OutputFormat(json_object=True))
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Generate(request)
            return remote_error(failed.value).field, len(served.engine.submitted)

    assert asyncio.run(scenario()) == ("output_format", 0)
