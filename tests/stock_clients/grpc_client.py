"""A generic gRPC client, as it is sold: it learns the wire by reflection and has no code of ours.

python grpc_client.py 127.0.0.1:50051 ADAPTER
"""

import base64
import json
import sys
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import grpc
from google.rpc import error_details_pb2  # noqa: F401  # so that this client writes the details of errors
from grpc_requests import Client

HEALTH = "grpc.health.v1.Health"
INFERENCE = "parfocal.v1.InferenceService"
REGISTRY = "parfocal.v1.RegistryService"
LIMIT_S = 60
SCHEMA = {"type": "object", "required": ["urgent"], "properties": {"urgent": {"type": "boolean"}}}


def check(address: str, adapter: str) -> None:
    """Asks both services for what they can do; raises where a reply is not what the `.proto` files say."""
    client = Client(address)
    assert {HEALTH, INFERENCE, REGISTRY} <= set(client.service_names), client.service_names
    ask = partial(client.request, timeout=LIMIT_S)
    assert ask(HEALTH, "Check", {"service": INFERENCE}) == {"status": "SERVING"}
    _answers(partial(ask, INFERENCE), adapter)
    _forms(partial(ask, INFERENCE), adapter)
    _registry(partial(ask, REGISTRY), adapter)
    _refusals(ask)


def _answers(ask: Any, adapter: str) -> None:
    stop = {"max_tokens": 6, "ignore_eos": True}
    reply = ask("Generate", {"adapter": adapter, "prompt": "Dear support,", "stop": stop})
    assert reply["usage"]["completion_tokens"] == 6, reply
    assert reply["adapter"]["name"] == adapter and reply["adapter"]["digest"], reply
    assert [each["name"] for each in ask("ListLoadedAdapters", {})["adapters"]] == [adapter]
    chat = {"chat": {"messages": [{"role": "user", "content": "Hello"}]}, "stop": stop}
    parts = list(ask("GenerateStream", chat))
    assert "".join(each.get("delta_text", "") for each in parts) == parts[-1]["final"]["text"]
    batch = ask("GenerateBatch", {"requests": [chat, {"adapter": "team/nobody", "prompt": "Hello"}]})
    assert [set(each) for each in batch["results"]] == [{"response"}, {"error"}], batch
    ids = ask("Tokenize", {"prompt": "Dear support,"})["token_ids"]
    assert "Dear support," in ask("Detokenize", {"token_ids": ids})["text"]
    assert ask("GetModel", {})["context_tokens"] > 6
    vectors = [
        ask("Embed", {"adapter": name, "inputs": [{"prompt": "Hello"}]})["embeddings"][0]["values"]
        for name in ("", adapter)
    ]
    assert vectors[0] != vectors[1], "the adapter changes nothing"


def _forms(ask: Any, adapter: str) -> None:
    asked = {"prompt": "My parcel is late.", "stop": {"max_tokens": 200}}
    held = ask("Generate", {**asked, "output_format": {"json_schema": json.dumps(SCHEMA)}})
    assert held.get("incomplete") or isinstance(json.loads(held["text"])["urgent"], bool), held
    blend = [{"adapter": adapter, "weight": 0.5}]
    blended = ask("Generate", {"prompt": "Dear", "blend": blend, "stop": {"max_tokens": 2}})
    assert [each["weight"] for each in blended["adapter"]["parts"]] == [0.5], blended


def _registry(ask: Any, adapter: str) -> None:
    found = ask("ResolveAdapter", {"reference": adapter})
    assert found["version"] == 1, found
    moved = ask("SetAlias", {"name": adapter, "alias": "tried", "version": 1, "expected_version": 0})
    assert moved["version"] == 1, moved
    assert "tried" in {each["alias"] for each in ask("ListAliases", {"name": adapter})["aliases"]}
    ask("DeleteAlias", {"name": adapter, "alias": "tried", "expected_version": 1})
    pieces = [each for each in ask("DownloadVersion", {"reference": adapter}) if "chunk" in each]
    assert sum(len(base64.b64decode(each["chunk"]["data"])) for each in pieces) > 1000


def _refusals(ask: Any) -> None:
    for fields, code in (
        ({"adapter": "team/nobody", "prompt": "Hello"}, grpc.StatusCode.NOT_FOUND),
        ({"prompt": "Hello", "sampling": {"temperature": -1}}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        try:
            ask(INFERENCE, "Generate", fields)
        except grpc.RpcError as error:
            assert error.code() == code, error
        else:
            raise AssertionError(f"{fields} was accepted")


if __name__ == "__main__":
    assert find_spec("parfocal") is None, "this client is to have nothing of ours"
    check(*sys.argv[1:])
    print(f"grpc-requests {version('grpc-requests')}: every call was answered")
