"""A generic client that learns the wire by reflection, with no code of ours: the newer rpcs answer it too."""

import asyncio
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from fakes.serving import serving
from parfocal.rpc import open_blocking_channel

SERVICE = "parfocal.v1.InferenceService"
ASKED: dict[str, dict[str, Any]] = {
    "Generate": {
        "prompt": "ab",
        "sampling": {"logit_bias": {5: -1.0}},
        "options": {"choices": 2, "prompt_logprobs": 1},
        "output_format": {"choice": {"texts": ["yes"]}},
    },
    "GenerateBatch": {"requests": [{"prompt": "a"}, {"adapter": "team/nobody", "prompt": "b"}]},
    "Embed": {"inputs": [{"prompt": "ab"}, {"tokens": {"ids": [7]}}], "pooling": 2},
    "Tokenize": {"prompt": "ab"},
    "Detokenize": {"token_ids": [72, 105]},
    "GetModel": {},
}


def _answers(channel: grpc.Channel) -> dict[str, Any]:
    service = DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindServiceByName(SERVICE)
    answers = {}
    for name, fields in ASKED.items():
        method = service.methods_by_name[name]
        call: Any = channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answers[name] = call(GetMessageClass(method.input_type)(**fields), timeout=30)
    return answers


def test_a_client_that_knows_only_reflection_can_ask_for_everything() -> None:
    async def scenario() -> dict[str, Any]:
        async with serving() as served:
            with open_blocking_channel(f"127.0.0.1:{served.wire.port}") as channel:
                return await asyncio.to_thread(_answers, channel)

    answers = asyncio.run(scenario())

    assert len(answers["Generate"].choices) == 2
    assert [each.token_id for each in answers["Generate"].prompt_logprobs] == [98]
    assert [each.WhichOneof("result") for each in answers["GenerateBatch"].results] == ["response", "error"]
    assert [list(each.values) for each in answers["Embed"].embeddings] == [[2.0, 97.0], [1.0, 7.0]]
    assert answers["Detokenize"].text == "Hi"
    assert answers["GetModel"].context_tokens == 64
