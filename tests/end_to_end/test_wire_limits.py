"""Every limit, tried over the wire: what lies at it or below is accepted, what lies above is not."""

import asyncio
import contextlib
import inspect
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.echo import NAME as ECHO
from fakes.echo import Echo
from fakes.echo import serving as echoing
from fakes.registry.registry_client import CONFIG, WEIGHTS
from fakes.served_aside import served_aside
from fakes.serving import Served
from fakes.tokenizer import ALTERNATE
from fakes.wire.http_bytes import fault_of, head_of, in_chunks
from parfocal.engine import MAX_BLENDED
from parfocal.engine.scheduling import MAX_LOGIT_BIASES, MAX_TOP_LOGPROBS
from parfocal.registry import BaseContract, Evaluation, FolderRegistry, Provenance, Publication
from parfocal.registry.errors import (
    InvalidPublication,
    InvalidSignature,
    TooManyAliases,
    TooManySignatures,
    UnsupportedAdapter,
)
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.faces.grpc import RegistryService
from parfocal.registry.index.refusals import check_room, check_room_to_sign
from parfocal.registry.peft.config import read_peft_config
from parfocal.registry.peft.lora_tensors import read_modules
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, TensorSpan
from parfocal.registry.publishing.draft import Draft, check_recordable
from parfocal.registry.publishing.limits import check_limits
from parfocal.registry.signing import Bundle
from parfocal.registry.values import Contract, Manifest, checked_page_size, dumps
from parfocal.rpc import Service, remote_error
from parfocal.rpc.admission import AdmissionInterceptor
from parfocal.rpc.options import server_options
from parfocal.rpc.surround import surround
from parfocal.server.faces.http import ConnectionLimits
from parfocal.v1 import adapter_pb2, limits
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc
from parfocal.v1.limits import HUB_LIMITS, LIMITS, Limit

ROOT = Path(__file__).resolve().parents[2]
NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Wire:
    """Both services of one server, as stock clients reach them."""

    inference: pb_grpc.InferenceServiceStub
    registry: registry_pb_grpc.RegistryServiceStub
    health: health_pb2_grpc.HealthStub
    served: Served


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("wire")
    servicer = RegistryService(
        FolderRegistry(folder / "registry"), folder / "uploads", ServiceLimits(max_upload_bytes=1 << 40)
    )
    service = Service(
        registry_pb_grpc.add_RegistryServiceServicer_to_server, servicer, "parfocal.v1.RegistryService"
    )
    with served_aside(ALTERNATE, service) as served:
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{served.wire.port}", options) as channel:
            yield Wire(
                pb_grpc.InferenceServiceStub(channel),
                registry_pb_grpc.RegistryServiceStub(channel),
                health_pb2_grpc.HealthStub(channel),
                served,
            )


Try = Callable[[Wire, int], str]


def said(call: Callable[[], object]) -> str:
    """What a call was refused with; "" if it was not."""
    try:
        call()
    except grpc.RpcError as error:
        return remote_error(error).message
    return ""


def generate(wire: Wire, request: pb.GenerateRequest) -> str:
    return said(lambda: wire.inference.Generate(request, timeout=60))


def tool_calls(wire: Wire, count: int) -> str:
    """Half of them tools, half of them calls, as far as both can be equal."""
    calls = [pb.ToolCall(name="f", arguments="{}")] * (count // 2)
    messages = [pb.Message(role="user", content="x"), pb.Message(role="assistant", tool_calls=calls)]
    chat = pb.Chat(messages=messages, tools=["{}"] * (count - count // 2))
    return generate(wire, pb.GenerateRequest(chat=chat))


def stop(**fields: object) -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt="x", stop=pb.Stop(**fields))  # type: ignore[arg-type]


def whole_message(wire: Wire, size: int) -> str:
    request = pb.GenerateRequest(prompt="x" * (size - 8))
    request.prompt += "x" * (size - request.ByteSize())
    assert request.ByteSize() == size
    return generate(wire, request)


def variables(wire: Wire, size: int) -> str:
    request = pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(role="user", content="x")]))
    struct = request.chat.template_variables
    struct["words"] = "x" * (size - 64)
    struct["words"] = "x" * (2 * size - 64 - struct.ByteSize())
    assert struct.ByteSize() == size
    return generate(wire, request)


def announced(wire: Wire, *parts: registry_pb.PublishVersionRequest, **sizes: int) -> str:
    files = [
        adapter_pb2.FileEntry(path=path, size=size, digest=NO_DIGEST)
        for path, size in {CONFIG: 1, WEIGHTS: 1, **sizes}.items()
    ]
    header = registry_pb.PublishVersionRequest(header=registry_pb.PublishHeader(name="x", files=files))
    return said(lambda: wire.registry.PublishVersion(iter([header, *parts]), timeout=60))


def files(wire: Wire, count: int) -> str:
    entries = [
        adapter_pb2.FileEntry(path=path, size=1, digest=NO_DIGEST)
        for path in (CONFIG, WEIGHTS, "chat_template.jinja", *(f"note-{n}.md" for n in range(9)))[:count]
    ]
    header = registry_pb.PublishVersionRequest(header=registry_pb.PublishHeader(name="x", files=entries))
    return said(lambda: wire.registry.PublishVersion(iter([header]), timeout=60))


def widest_header(wire: Wire, size: int) -> str:
    header = registry_pb.PublishVersionRequest(header=registry_pb.PublishHeader(name="x" * (size - 64)))
    header.header.name += "x" * (size - header.ByteSize())
    assert header.ByteSize() == size
    return said(lambda: wire.registry.PublishVersion(iter([header]), timeout=60))


def piece(wire: Wire, size: int) -> str:
    chunk = registry_pb.FileChunk(path=CONFIG, data=bytes(size))
    return announced(wire, registry_pb.PublishVersionRequest(chunk=chunk), **{CONFIG: 1 << 20})


def wait_until(happens: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if happens():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in 30 seconds")


def manifest(wire: Wire, size: int) -> str:
    """Beside the wire: no header makes one of so exact a size, and its warnings do not come over it."""
    base = BaseContract.unverified("x")

    def made(filling: int) -> Manifest:
        draft = Draft(None, b"", Contract(base, (), False), Publication(), ("x" * filling,))  # type: ignore[arg-type]
        return draft.manifest(())

    rest = size - len(made(0).to_bytes())
    written = made(rest)
    assert len(written.to_bytes()) == size
    try:
        check_recordable(written)
    except InvalidPublication as error:
        return str(error)
    return ""


def modules(wire: Wire, count: int) -> str:
    """Beside the wire, too: it would be an upload of megabytes."""
    span = TensorSpan("F32", (8, 8), 0, 256)
    names = [f"m{number}.lora_{side}.weight" for number in range(count) for side in ("A", "B")]
    header = SafetensorsHeader(dict.fromkeys(names, span), {}, 0)
    try:
        read_modules(header, read_peft_config(b'{"peft_type":"LORA","target_modules":"all-linear"}'), None)
    except UnsupportedAdapter as error:
        return str(error)
    return ""


def publishing(
    provenance: Provenance | None = None, evaluation: Evaluation | None = None, tags: list[str] | None = None
) -> str:
    """Beside the wire: what is said of a publication, before anything of it is stored."""
    publication = Publication(BaseContract.unverified("x"), provenance, evaluation, tags=tuple(tags or ()))
    try:
        check_limits(Contract(BaseContract.unverified("x"), (), False), publication)
    except InvalidPublication as error:
        return str(error)
    return ""


def filled(size: int) -> Provenance:
    rest = size - len(dumps(Provenance("", {"x": ""}).to_json()))
    return Provenance("", {"x": "y" * rest})


def aliases(wire: Wire, count: int) -> str:
    try:
        check_room("x", count - 1)
    except TooManyAliases as error:
        return str(error)
    return ""


def signatures(wire: Wire, count: int) -> str:
    try:
        check_room_to_sign("x", 1, count - 1)
    except TooManySignatures as error:
        return str(error)
    return ""


def signature(wire: Wire, size: int) -> str:
    """Beside the wire: no version is there that could be signed."""
    try:
        Bundle.from_bytes(b" " * size)
    except InvalidSignature as error:
        return str(error)
    return ""


def top_logprobs(wire: Wire, count: int) -> str:
    options = pb.Options(logprobs=True, top_logprobs=count)
    return generate(wire, pb.GenerateRequest(prompt="x", options=options))


def probes(wire: Wire, count: int) -> str:
    with contextlib.ExitStack() as stack:
        stack.callback(wait_until, lambda: not wire.served.wire.probes.taken)
        watches = [wire.health.Watch(health_pb2.HealthCheckRequest()) for _ in range(count)]
        for watch in watches:
            stack.callback(watch.cancel)
        return "".join(said(watch.__next__) for watch in watches)


def tools(wire: Wire, count: int) -> str:
    """Half of it in a tool, the rest in a call's arguments."""
    first, second = (f'{{"a":"{"x" * (size - 8)}"}}' for size in (count // 2, count - count // 2))
    calls = [pb.ToolCall(name="f", arguments=second)]
    chat = pb.Chat(messages=[pb.Message(role="assistant", tool_calls=calls)], tools=[first])
    assert len(first) + len(second) == count
    return generate(wire, pb.GenerateRequest(chat=chat))


def parts(wire: Wire, count: int) -> str:
    """As many calls of tools as make it so many messages, with the chat and its message around them."""
    message = pb.Message(role="assistant", tool_calls=[pb.ToolCall()] * (count - 2))
    return generate(wire, pb.GenerateRequest(chat=pb.Chat(messages=[message])))


# size: one table, with every limit in it
TRIES: dict[Limit, Try] = {
    limits.REQUEST_BYTES: whole_message,
    limits.HEADER_BYTES: widest_header,
    limits.MESSAGE_PARTS: parts,
    limits.HEAD_BYTES: lambda wire, size: fault_of(head_of(size)),
    limits.BODY_CHUNKS: lambda wire, count: fault_of(in_chunks(count)),
    limits.PROBE_RPCS: probes,
    limits.REFERENCE_CHARACTERS: lambda wire, count: said(
        lambda: wire.registry.ResolveAdapter(registry_pb.ResolveAdapterRequest(reference="a" * count))
    ),
    limits.NAME_CHARACTERS: lambda wire, count: said(
        lambda: wire.registry.GetVersion(registry_pb.GetVersionRequest(name="a" * count, version=1))
    ),
    limits.ACTOR_CHARACTERS: lambda wire, count: said(
        lambda: wire.registry.DeleteAdapter(registry_pb.DeleteAdapterRequest(name="a", actor="a" * count))
    ),
    limits.PAGE_ITEMS: lambda wire, count: (
        "" if checked_page_size(count) == count else f"at most {checked_page_size(count)}"
    ),
    limits.PAGE_TOKEN_CHARACTERS: lambda wire, count: said(
        lambda: wire.registry.ListAdapters(registry_pb.ListAdaptersRequest(page_token="A" * count))
    ),
    limits.UPLOAD_FILES: files,
    limits.ATTACHMENTS: lambda wire, count: announced(wire, **{f"note-{n}.md": 1 for n in range(count)}),
    limits.ATTACHMENT_BYTES: lambda wire, size: announced(wire, **{"report.html": size}),
    limits.PIECE_BYTES: piece,
    limits.CONFIG_BYTES: lambda wire, size: announced(wire, **{CONFIG: size}),
    limits.WEIGHTS_BYTES: lambda wire, size: announced(wire, **{WEIGHTS: size}),
    limits.TEMPLATE_BYTES: lambda wire, size: announced(wire, **{"chat_template.jinja": size}),
    limits.MANIFEST_BYTES: manifest,
    limits.MODULES: modules,
    limits.PROVENANCE_BYTES: lambda wire, size: publishing(provenance=filled(size)),
    limits.METRICS: lambda wire, count: publishing(
        evaluation=Evaluation("", 1, {f"m{number}": 0.5 for number in range(count)})
    ),
    limits.TEXT_CHARACTERS: lambda wire, count: publishing(provenance=Provenance("", parent="p" * count)),
    limits.TAGS: lambda wire, count: publishing(tags=[f"t{number}" for number in range(count)]),
    limits.ALIASES: aliases,
    limits.SIGNATURES: signatures,
    limits.SIGNATURE_BYTES: signature,
    limits.PROMPT_TOKENS: lambda wire, count: generate(
        wire, pb.GenerateRequest(tokens=pb.Tokens(ids=[1] * count))
    ),
    limits.CHAT_MESSAGES: lambda wire, count: generate(
        wire, pb.GenerateRequest(chat=pb.Chat(messages=[pb.Message(role="user", content="x")] * count))
    ),
    limits.VARIABLES_BYTES: variables,
    limits.TOOL_CHARACTERS: tools,
    limits.TOOL_CALLS: tool_calls,
    limits.STOP_STRINGS: lambda wire, count: generate(wire, stop(strings=["never"] * count)),
    limits.STOP_STRING_BYTES: lambda wire, size: generate(wire, stop(strings=["n" * size])),
    limits.STOP_TOKENS: lambda wire, count: generate(wire, stop(token_ids=[1] * count)),
    limits.TOP_LOGPROBS: top_logprobs,
    limits.LOGIT_BIASES: lambda wire, count: generate(
        wire, pb.GenerateRequest(prompt="x", sampling=pb.Sampling(logit_bias=dict.fromkeys(range(count), 1)))
    ),
    limits.PROMPT_LOGPROBS: lambda wire, count: generate(
        wire,
        pb.GenerateRequest(tokens=pb.Tokens(ids=[1] * count), options=pb.Options(prompt_logprobs=0)),
    ),
    limits.BLEND_PARTS: lambda wire, count: generate(
        wire, pb.GenerateRequest(prompt="x", blend=[pb.BlendPart(adapter="team/x")] * count)
    ),
    limits.EMBED_INPUTS: lambda wire, count: said(
        lambda: wire.inference.Embed(pb.EmbedRequest(inputs=[pb.EmbedInput(prompt="x")] * count), timeout=60)
    ),
    limits.CHOICE_TEXTS: lambda wire, count: generate(
        wire,
        pb.GenerateRequest(
            prompt="x",
            output_format=pb.OutputFormat(choice=pb.OutputFormat.Choice(texts=["x"] * count)),
        ),
    ),
    limits.CHOICES: lambda wire, count: generate(
        wire, pb.GenerateRequest(prompt="x", options=pb.Options(choices=count))
    ),
    limits.BATCH_REQUESTS: lambda wire, count: said(
        lambda: wire.inference.GenerateBatch(
            pb.GenerateBatchRequest(requests=[pb.GenerateRequest()] * count), timeout=60
        )
    ),
    limits.SPLIT_KEY_CHARACTERS: lambda wire, count: generate(
        wire, pb.GenerateRequest(prompt="x", split_key="k" * count)
    ),
    limits.REQUEST_ID_CHARACTERS: lambda wire, count: generate(
        wire, pb.GenerateRequest(prompt="x", request_id="r" * count)
    ),
}

# Nobody waits so long in a test: that they are kept is tested with shorter ones.
WAITED = {limits.FIRST_MESSAGE_S, limits.HANDSHAKE_S, limits.SEND_S, limits.READ_S}
REPLIES = {limits.REPLY_BYTES}  # none comes near it; what a client takes is looked at


def names(limit: Limit, refusal: str) -> bool:
    """Whether a refusal says that this was too much; others may have the number in them too."""
    return re.search(rf"(at most|1 to|over|more than|vs\.|serves|;) {limit.most}\b", refusal) is not None


def test_every_limit_is_tried() -> None:
    assert {*TRIES, *WAITED, *REPLIES} == {*LIMITS}


@pytest.mark.parametrize("limit", TRIES, ids=lambda limit: limit.of)
def test_what_lies_at_a_limit_or_below_is_not_refused_for_it(wire: Wire, limit: Limit) -> None:
    for count in (limit.most - 1, limit.most):
        assert not names(limit, TRIES[limit](wire, count))


@pytest.mark.parametrize("limit", TRIES, ids=lambda limit: limit.of)
def test_what_lies_above_a_limit_is_refused_naming_it(wire: Wire, limit: Limit) -> None:
    assert names(limit, TRIES[limit](wire, limit.most + 1))


def test_the_waits_are_those_that_the_server_keeps() -> None:
    assert inspect.signature(surround).parameters["first_message_s"].default == limits.FIRST_MESSAGE_S.most
    assert inspect.signature(AdmissionInterceptor).parameters["send_s"].default == limits.SEND_S.most
    options = dict(server_options(1, None, None))
    assert options["grpc.server_handshake_timeout_ms"] == limits.HANDSHAKE_S.most * 1000
    assert ConnectionLimits() == ConnectionLimits(limits.HANDSHAKE_S.most, limits.READ_S.most)


@pytest.mark.parametrize(("size", "arrives"), [(-1, True), (0, True), (1, False)])
def test_a_client_takes_replies_up_to_the_limit(size: int, arrives: bool) -> None:
    """Of a server that joins what it is sent piece by piece."""
    piece = 256 << 10

    async def scenario() -> bool:
        most = limits.REPLY_BYTES.most
        sizes = [*[piece] * ((most + size) // piece), (most + size) % piece]
        async with echoing(Echo()) as (_, channel):
            joined = channel.stream_unary(f"/{ECHO}/StreamUnary", None, None)
            try:
                answer: bytes = await joined(map(bytes, sizes))
            except grpc.aio.AioRpcError as error:
                assert f"vs. {most}" in remote_error(error).message
                return False
            return answer == bytes(most + size)

    assert asyncio.run(scenario()) is arrives


def test_the_engine_takes_as_much_as_the_wire() -> None:
    assert limits.TOP_LOGPROBS.most == MAX_TOP_LOGPROBS
    assert limits.LOGIT_BIASES.most == MAX_LOGIT_BIASES
    assert limits.BLEND_PARTS.most == MAX_BLENDED


def shown(limit: Limit) -> str:
    most, unit = limit.most, limit.unit
    for size, word in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if unit == "bytes" and most % size == 0:
            most, unit = most // size, word
            break
    return f"{most} {unit}"


@pytest.mark.parametrize(("guide", "told"), [("protos", LIMITS), ("registry", HUB_LIMITS)])
def test_the_guide_shows_every_limit_with_its_reason(guide: str, told: tuple[Limit, ...]) -> None:
    rows = [f"| {limit.of} | {shown(limit)} | {limit.reason} |" for limit in told]
    table = "\n".join(["| | at most | because |", "|---|---|---|", *rows, ""])

    assert table in (ROOT / guide / "README.md").read_text("utf-8"), f"show this instead:\n{table}"
