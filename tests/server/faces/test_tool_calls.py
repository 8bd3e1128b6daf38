"""Calls of tools over gRPC: read from the answer's text, which stays as the model wrote it."""

import asyncio

from fakes.serving import serving
from parfocal.v1 import inference_service_pb2 as pb

TOOL = '{"type": "function", "function": {"name": "weather"}}'
WORDS = ('{"name": "weather", ', '"arguments": {"city": "Ulm"}}')


def answered(words: tuple[str, ...], *tools: str) -> pb.GenerateResponse:
    async def scenario() -> pb.GenerateResponse:
        async with serving() as served:
            served.engine.words = words
            chat = pb.Chat(messages=[pb.Message(role="user", content="x")], tools=tools)
            return await served.stub.Generate(pb.GenerateRequest(chat=chat, options=pb.Options(choices=2)))

    return asyncio.run(scenario())


def test_calls_come_back_read_and_as_they_were_written() -> None:
    reply = answered(WORDS, TOOL)

    assert list(reply.tool_calls) == [pb.ToolCall(name="weather", arguments='{"city": "Ulm"}')]
    assert reply.text == "".join(WORDS)
    assert all(each.tool_calls == reply.tool_calls for each in reply.choices)


def test_a_chat_without_tools_has_no_calls() -> None:
    assert not answered(WORDS).tool_calls
