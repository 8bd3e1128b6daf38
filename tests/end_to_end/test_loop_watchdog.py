"""No rpc holds the event loop for more than 50 ms, whatever is sent: others' streams run on the same loop.

Every rpc of both services is called with the largest input that it accepts, some with one that it refuses.
"""

import asyncio
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import grpc
import pytest

from fakes.registry.largest_calls import largest_piece, largest_publication, largest_question
from fakes.registry.peft_folders import Adapter, peft_config
from fakes.registry.registry_client import CONFIG, WEIGHTS, chunks, entry
from fakes.served_aside import served_aside
from fakes.tokenizer import ALTERNATE
from fakes.watched_loop import MOST_S, WatchedLoop, no_collections
from parfocal.engine import AdapterKey
from parfocal.engine.parts import AdapterStatus
from parfocal.registry import BaseContract, FileEntry, FolderRegistry, Publication
from parfocal.registry.faces.grpc import RegistryService
from parfocal.registry.signing import Bundle, Statement
from parfocal.rpc import Service
from parfocal.rpc.surround import is_written
from parfocal.v1 import adapter_pb2, limits
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc

CONTEXT_TOKENS = 1 << 21
ANSWER_TOKENS = 3000
ADAPTERS = 3000
MODULES = 20_000
ALIASES = 1000
NAME, LARGE = "team/x", "team/large"
MEBIBYTE = 1 << 20
# As many of two bytes, the shortest that there are, as fit a message; and what brings a message to its limit.
HALF = limits.REQUEST_BYTES.most // 2 - 64
FILLING = "x" * (limits.REQUEST_BYTES.most - 3 * limits.MESSAGE_PARTS.most)
BASE = adapter_pb2.BaseContract(id="small-base")


@dataclass(frozen=True, slots=True)
class Stand:
    """Both services on a loop that is watched."""

    loop: WatchedLoop
    inference: pb_grpc.InferenceServiceStub
    registry: registry_pb_grpc.RegistryServiceStub
    folder: Path


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("watched")
    registry = FolderRegistry(folder / "registry")
    _fill(registry, folder)
    loop = WatchedLoop()
    service = Service(
        registry_pb_grpc.add_RegistryServiceServicer_to_server,
        RegistryService(registry, folder / "uploads"),
        "parfocal.v1.RegistryService",
    )
    with served_aside(ALTERNATE, service, context_tokens=CONTEXT_TOKENS, loop=loop) as served:
        served.engine.words = ("x",) * ANSWER_TOKENS
        served.engine.statuses = [_status(number) for number in range(ADAPTERS)]
        options = [("grpc.max_receive_message_length", limits.REPLY_BYTES.most)]
        with grpc.insecure_channel(f"127.0.0.1:{served.wire.port}", options) as channel:
            yield Stand(
                loop,
                pb_grpc.InferenceServiceStub(channel),
                registry_pb_grpc.RegistryServiceStub(channel),
                folder,
            )


def _status(number: int) -> AdapterStatus:
    key = AdapterKey(f"sha256:{number:064x}", f"team/adapter-{number}", 1)
    return AdapterStatus(key, "ready", "device", rank=8, size_bytes=1000, pins=0)


def _fill(registry: FolderRegistry, folder: Path) -> None:
    """A small version with many aliases, long moved, and one with as many modules as fit a header."""
    publication = Publication(BaseContract.unverified("small-base"), unverified_base=True)
    registry.publish(NAME, _adapter(folder / "small", 2), publication)
    registry.publish(LARGE, _adapter(folder / "large", MODULES), publication)
    for number in range(ALIASES):
        registry.set_alias(NAME, f"alias-{number}", 1)
    small = registry.resolve(NAME)
    for number in range(limits.SIGNATURES.most):
        registry.add_signature(NAME, 1, _largest_bundle(small.digest, small.manifest.files, number))


def _largest_bundle(digest: str, files: tuple[FileEntry, ...] = (), number: int = 0) -> bytes:
    """A signature that fills what one may take; nobody verifies it here."""
    payload = Statement.over("n" * (limits.SIGNATURE_BYTES.most * 5 // 8), digest, files).to_bytes()
    return Bundle(payload, bytes([number]), "0" * 64).to_bytes()


def _adapter(folder: Path, modules: int) -> Path:
    """A folder whose weights are of rank 1 and 1 x 1: all that is large about it is its header."""
    folder.mkdir()
    header, position = {}, 0
    for number in range(modules):
        for side in "AB":
            name = f"base_model.model.model.layers.{number}.q_proj.lora_{side}.weight"
            header[name] = {"dtype": "F16", "shape": [1, 1], "data_offsets": [position, position + 2]}
            position += 2
    text = json.dumps(header, separators=(",", ":")).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + b"\x01\x02" * (position // 2))
    config = peft_config(Adapter(rank=1, modules=("q_proj",)))
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


def publish(stand: Stand) -> None:
    folder = stand.folder / "large"
    header = registry_pb.PublishHeader(
        name="other/y",
        base_contract=BASE,
        unverified_base=True,
        files=[entry(folder / CONFIG), entry(folder / WEIGHTS)],
    )
    parts = [
        registry_pb.PublishVersionRequest(header=header),
        *chunks(folder / CONFIG, 1),
        *chunks(folder / WEIGHTS, -(-(folder / WEIGHTS).stat().st_size // MEBIBYTE)),
    ]
    stand.registry.PublishVersion(iter(parts))


def publish_widest(stand: Stand) -> None:
    """A header as large as a message may be, of as many parts as fit it."""
    widest = adapter_pb2.Evaluation(
        metrics={f"{number:x}": 0.0 for number in range(limits.HEADER_BYTES.most // 24)}
    )
    header = registry_pb.PublishHeader(name="other/y", base_contract=BASE, evaluation=widest)
    stand.registry.PublishVersion(iter([registry_pb.PublishVersionRequest(header=header)]))


def watched(stand: Stand) -> None:
    """From the beginning of all that has happened."""
    watch = stand.registry.Watch(registry_pb.WatchRequest(after_sequence=0))
    assert len(list(islice(watch, ALIASES))) == ALIASES
    watch.cancel()  # type: ignore[no-untyped-call]


def calling(stand: Stand) -> None:
    """As many tools, and calls of them, as a chat may have."""
    each = limits.TOOL_CHARACTERS.most // limits.TOOL_CALLS.most
    text = '{"x": "' + "y" * (each - 10) + '"}'
    calls = [pb.ToolCall(name="f", arguments=text)] * (limits.TOOL_CALLS.most // 2)
    messages = [pb.Message(role="user", content="x"), pb.Message(role="assistant", tool_calls=calls)]
    stand.inference.Generate(
        generating(chat=pb.Chat(messages=messages, tools=[text] * (limits.TOOL_CALLS.most // 2)))
    )


def generating(**fields: object) -> pb.GenerateRequest:
    return pb.GenerateRequest(**fields)  # type: ignore[arg-type]


def longest_prompt() -> str:
    return "x" * (limits.REQUEST_BYTES.most - 64)


def most_tokens() -> pb.Tokens:
    return pb.Tokens(ids=[500] * limits.PROMPT_TOKENS.most)


def longest_chat() -> pb.Chat:
    message = pb.Message(role="user", content="x" * 500)
    chat = pb.Chat(messages=[message] * limits.CHAT_MESSAGES.most)
    chat.template_variables["words"] = ["x"] * (limits.VARIABLES_BYTES.most // 8)
    return chat


def widest_stop() -> pb.Stop:
    longest = "n" * limits.STOP_STRING_BYTES.most
    return pb.Stop(strings=[longest] * limits.STOP_STRINGS.most, token_ids=[500] * limits.STOP_TOKENS.most)


def all_logprobs() -> pb.Options:
    return pb.Options(logprobs=True, top_logprobs=limits.TOP_LOGPROBS.most)


# size: one table, with every rpc in it
CALLS: dict[str, Callable[[Stand], object]] = {
    "Generate: prompt": lambda stand: stand.inference.Generate(generating(prompt=longest_prompt())),
    "Generate: tokens": lambda stand: stand.inference.Generate(generating(tokens=most_tokens())),
    "Generate: bad token": lambda stand: stand.inference.Generate(
        generating(tokens=pb.Tokens(ids=[500] * (limits.PROMPT_TOKENS.most - 1) + [-1]))
    ),
    "Generate: echo": lambda stand: stand.inference.Generate(
        generating(tokens=most_tokens(), options=pb.Options(echo=True))
    ),
    "Generate: chat": lambda stand: stand.inference.Generate(generating(chat=longest_chat())),
    "Generate: tools": calling,
    "Generate: stop, logprobs": lambda stand: stand.inference.Generate(
        generating(prompt="x", stop=widest_stop(), options=all_logprobs())
    ),
    "Generate: too many messages": lambda stand: stand.inference.Generate(
        generating(chat=pb.Chat(messages=[pb.Message()] * (limits.REQUEST_BYTES.most // 3)))
    ),
    "Generate: too many calls": lambda stand: stand.inference.Generate(
        generating(chat=pb.Chat(messages=[pb.Message(tool_calls=[pb.ToolCall()] * HALF)]))
    ),
    "Generate: most parts": lambda stand: stand.inference.Generate(
        generating(chat=pb.Chat(messages=[pb.Message()] * (limits.MESSAGE_PARTS.most - 1), tools=[FILLING]))
    ),
    "Generate: too many stop strings": lambda stand: stand.inference.Generate(
        generating(prompt="x", stop=pb.Stop(strings=[""] * HALF))
    ),
    "Generate: too many biases": lambda stand: stand.inference.Generate(
        generating(
            prompt="x",
            sampling=pb.Sampling(logit_bias=dict.fromkeys(range(limits.REQUEST_BYTES.most // 12), 1.0)),
        )
    ),
    "Generate: too many texts": lambda stand: stand.inference.Generate(
        generating(
            prompt="x", output_format=pb.OutputFormat(choice=pb.OutputFormat.Choice(texts=[""] * HALF))
        )
    ),
    "Generate: too many parts of a blend": lambda stand: stand.inference.Generate(
        generating(prompt="x", blend=[pb.BlendPart()] * (limits.REQUEST_BYTES.most // 3))
    ),
    "Generate: too many stop tokens": lambda stand: stand.inference.Generate(
        generating(prompt="x", stop=pb.Stop(token_ids=[1] * (limits.REQUEST_BYTES.most - 64)))
    ),
    "GenerateStream": lambda stand: list(
        stand.inference.GenerateStream(
            generating(prompt=longest_prompt(), stop=widest_stop(), options=all_logprobs())
        )
    ),
    "Generate: biases, prompt": lambda stand: stand.inference.Generate(
        generating(
            tokens=pb.Tokens(ids=[500] * (limits.PROMPT_LOGPROBS.most // 21)),
            options=pb.Options(prompt_logprobs=20),
            sampling=pb.Sampling(logit_bias=dict.fromkeys(range(limits.LOGIT_BIASES.most), 1.0)),
        )
    ),
    "GenerateStream: prompt": lambda stand: list(
        stand.inference.GenerateStream(
            generating(
                tokens=pb.Tokens(ids=[500] * limits.PROMPT_LOGPROBS.most),
                options=pb.Options(prompt_logprobs=0),
            )
        )
    ),
    "GenerateBatch": lambda stand: stand.inference.GenerateBatch(
        pb.GenerateBatchRequest(
            requests=[generating(prompt="x" * 4000, stop=pb.Stop(max_tokens=0))] * limits.BATCH_REQUESTS.most
        )
    ),
    "GenerateBatch: too many": lambda stand: stand.inference.GenerateBatch(
        pb.GenerateBatchRequest(requests=[pb.GenerateRequest()] * HALF)
    ),
    "GenerateBatch: most parts": lambda stand: stand.inference.GenerateBatch(
        pb.GenerateBatchRequest(
            requests=[*[pb.GenerateRequest()] * (limits.MESSAGE_PARTS.most - 1), generating(prompt=FILLING)]
        )
    ),
    "Embed": lambda stand: stand.inference.Embed(
        pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="x" * 4000)] * limits.EMBED_INPUTS.most)
    ),
    "Embed: tokens": lambda stand: stand.inference.Embed(
        pb.EmbedRequest(inputs=[pb.EmbedInput(tokens=pb.Tokens(ids=[500] * 2000))] * 256)
    ),
    "Embed: small tokens": lambda stand: stand.inference.Embed(
        pb.EmbedRequest(inputs=[pb.EmbedInput(tokens=pb.Tokens(ids=[100] * 4300))] * 256)
    ),
    "Embed: too many": lambda stand: stand.inference.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput()] * HALF)),
    "Detokenize: too many": lambda stand: stand.inference.Detokenize(
        pb.DetokenizeRequest(token_ids=[1] * (limits.REQUEST_BYTES.most - 64))
    ),
    "Detokenize": lambda stand: stand.inference.Detokenize(
        pb.DetokenizeRequest(token_ids=[500] * limits.PROMPT_TOKENS.most)
    ),
    "Tokenize": lambda stand: stand.inference.Tokenize(pb.TokenizeRequest(prompt="x" * 200_000)),
    "GetModel": lambda stand: stand.inference.GetModel(pb.GetModelRequest()),
    "ListLoadedAdapters": lambda stand: stand.inference.ListLoadedAdapters(
        pb.ListLoadedAdaptersRequest(page_size=limits.PAGE_ITEMS.most)
    ),
    "ListLoadedAdapters: token": lambda stand: stand.inference.ListLoadedAdapters(
        pb.ListLoadedAdaptersRequest(page_token="A" * (limits.REQUEST_BYTES.most - 64))
    ),
    "PublishVersion": publish,
    "PublishVersion: header": publish_widest,
    "PublishVersion: files": lambda stand: stand.registry.PublishVersion(
        iter(
            [
                registry_pb.PublishVersionRequest(
                    header=registry_pb.PublishHeader(
                        name=NAME, files=[adapter_pb2.FileEntry()] * (limits.HEADER_BYTES.most // 2 - 64)
                    )
                )
            ]
        )
    ),
    "FindMissingBlobs": lambda stand: largest_question(stand.registry, NAME),
    "UploadBlob": lambda stand: largest_piece(stand.registry, NAME),
    "PublishBlobs": lambda stand: largest_publication(stand.registry, NAME),
    "GetVersion": lambda stand: stand.registry.GetVersion(
        registry_pb.GetVersionRequest(name=LARGE, version=1)
    ),
    "ResolveAdapter": lambda stand: stand.registry.ResolveAdapter(
        registry_pb.ResolveAdapterRequest(reference=LARGE)
    ),
    "ResolveAdapter: reference": lambda stand: stand.registry.ResolveAdapter(
        registry_pb.ResolveAdapterRequest(reference="a" * (limits.REQUEST_BYTES.most - 64))
    ),
    "AddSignature": lambda stand: stand.registry.AddSignature(
        registry_pb.AddSignatureRequest(
            name=LARGE, version=1, bundle=_largest_bundle(f"sha256:{'0' * 64}"), actor="a" * 256
        )
    ),
    "AddSignature: bundle": lambda stand: stand.registry.AddSignature(
        registry_pb.AddSignatureRequest(name=LARGE, version=1, bundle=b"[" * (limits.REQUEST_BYTES.most - 64))
    ),
    "ListSignatures": lambda stand: stand.registry.ListSignatures(
        registry_pb.ListSignaturesRequest(name=NAME, version=1)
    ),
    "ListAdapters": lambda stand: stand.registry.ListAdapters(
        registry_pb.ListAdaptersRequest(page_size=1000)
    ),
    "ListVersions": lambda stand: stand.registry.ListVersions(
        registry_pb.ListVersionsRequest(name=LARGE, page_size=1000)
    ),
    "SetAlias": lambda stand: stand.registry.SetAlias(
        registry_pb.SetAliasRequest(name=NAME, alias="alias-1", version=1, actor="a" * 256)
    ),
    "SetAlias: actor": lambda stand: stand.registry.SetAlias(
        registry_pb.SetAliasRequest(
            name=NAME, alias="alias-1", version=1, actor="a" * (limits.REQUEST_BYTES.most - 64)
        )
    ),
    "SetCanary": lambda stand: stand.registry.SetCanary(
        registry_pb.SetCanaryRequest(
            name=LARGE,
            alias="alias-4",
            version=1,
            weight=1000,
            guards=[adapter_pb2.CanaryGuard()] * HALF,
        )
    ),
    "AbortCanary": lambda stand: stand.registry.AbortCanary(
        registry_pb.AbortCanaryRequest(name=LARGE, alias="alias-4", expected_canary=1)
    ),
    "ListNamespaces": lambda stand: stand.registry.ListNamespaces(
        registry_pb.ListNamespacesRequest(page_size=1000)
    ),
    "GetGate": lambda stand: stand.registry.GetGate(registry_pb.GetGateRequest(name=NAME, alias="alias-4")),
    "SetGate": lambda stand: stand.registry.SetGate(
        registry_pb.SetGateRequest(
            name=NAME,
            alias="alias-4",
            rules=[adapter_pb2.GateRule(signed_by=adapter_pb2.SignedByAny(keys=["k" * 300] * 32))] * 32,
        )
    ),
    "SetGate: too many": lambda stand: stand.registry.SetGate(
        registry_pb.SetGateRequest(name=NAME, alias="alias-4", rules=[adapter_pb2.GateRule()] * HALF)
    ),
    "ClearGate": lambda stand: stand.registry.ClearGate(
        registry_pb.ClearGateRequest(name=NAME, alias="alias-4")
    ),
    "CheckGate": lambda stand: stand.registry.CheckGate(
        registry_pb.CheckGateRequest(name=LARGE, alias="alias-4", version=1)
    ),
    "ListAliases": lambda stand: stand.registry.ListAliases(
        registry_pb.ListAliasesRequest(name=NAME, page_size=1000, include_history=True)
    ),
    "ListAliasMoves": lambda stand: stand.registry.ListAliasMoves(
        registry_pb.ListAliasMovesRequest(name=NAME, page_size=1000)
    ),
    "RollbackAlias": lambda stand: stand.registry.RollbackAlias(
        registry_pb.RollbackAliasRequest(name=NAME, alias="alias-2")
    ),
    "DeleteAlias": lambda stand: stand.registry.DeleteAlias(
        registry_pb.DeleteAliasRequest(name=NAME, alias="alias-3")
    ),
    "DeleteVersion": lambda stand: stand.registry.DeleteVersion(
        registry_pb.DeleteVersionRequest(name=NAME, version=1)
    ),
    "DeleteAdapter": lambda stand: stand.registry.DeleteAdapter(registry_pb.DeleteAdapterRequest(name=NAME)),
    "Watch": watched,
    "DownloadVersion": lambda stand: list(
        stand.registry.DownloadVersion(registry_pb.DownloadVersionRequest(reference=LARGE))
    ),
}


def _written_rpcs() -> set[str]:
    services = {
        pb.DESCRIPTOR.services_by_name["InferenceService"]: pb_grpc.InferenceServiceServicer,
        registry_pb.DESCRIPTOR.services_by_name["RegistryService"]: RegistryService,
    }
    return {
        method.name
        for service, servicer in services.items()
        for method in service.methods
        if servicer is not RegistryService or is_written(getattr(servicer, method.name))
    }


def test_every_rpc_of_both_services_is_called() -> None:
    assert {name.partition(":")[0] for name in CALLS} == _written_rpcs()


@pytest.mark.parametrize("name", CALLS)
def test_no_rpc_holds_the_event_loop(stand: Stand, name: str) -> None:
    stand.loop.holds.clear()

    with no_collections():
        try:
            CALLS[name](stand)
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.INTERNAL

    assert stand.loop.holds == []


def test_a_callback_that_computes_for_too_long_is_noted() -> None:
    loop = WatchedLoop()

    async def compute() -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 2 * MOST_S:
            pass

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(compute())

    assert [hold.seconds >= 2 * MOST_S for hold in loop.holds] == [True]


def test_waiting_is_not_computing() -> None:
    loop = WatchedLoop()

    async def wait() -> None:
        time.sleep(2 * MOST_S)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(wait())

    assert loop.holds == []
