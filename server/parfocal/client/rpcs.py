"""Every rpc that both clients call: what is sent where, and how the reply is read. Calls none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Unpack

from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2

from parfocal.client.answers import (
    Adapter,
    Alias,
    AliasMove,
    Answer,
    Embeddings,
    LoadedAdapter,
    Model,
    Tokens,
    Version,
    read_adapter,
    read_alias,
    read_answer,
    read_embeddings,
    read_loaded,
    read_model,
    read_move,
    read_results,
    read_tokens,
    read_version,
)
from parfocal.client.asking import (
    EVERY_MOVE,
    EVERY_VERSION,
    EmbedOptions,
    Input,
    MoveFilter,
    Options,
    Question,
    VersionFilter,
    batch_request,
    check_applied,
    embed_request,
    filter_message,
    generate_request,
    tokenize_request,
)
from parfocal.client.calling import Rpc, StreamRpc
from parfocal.client.errors import ClientError
from parfocal.client.moments import timestamp
from parfocal.v1 import adapter_pb2
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import registry_service_pb2 as registry_pb

Item = TypeVar("Item")

_INFERENCE = "/parfocal.v1.InferenceService"
_REGISTRY = "/parfocal.v1.RegistryService"
PUBLISH = f"{_REGISTRY}/PublishVersion"
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and what the next page is asked for with; empty after the last."""

    items: tuple[Item, ...]
    next_page_token: str


def generate(prompt: str | None, **options: Unpack[Options]) -> Rpc[pb.GenerateResponse, Answer]:
    """A whole answer."""
    request = generate_request(prompt, options)
    return Rpc(f"{_INFERENCE}/Generate", request, pb.GenerateResponse, read_answer)


def generate_stream(prompt: str | None, **options: Unpack[Options]) -> StreamRpc[pb.GenerateStreamResponse]:
    """An answer piece by piece."""
    request = generate_request(prompt, options)
    return StreamRpc(f"{_INFERENCE}/GenerateStream", request, pb.GenerateStreamResponse)


def generate_batch(
    questions: Sequence[Question],
) -> Rpc[pb.GenerateBatchResponse, tuple[Answer | ClientError, ...]]:
    """What becomes of each of several requests."""
    request = batch_request(questions)
    return Rpc(f"{_INFERENCE}/GenerateBatch", request, pb.GenerateBatchResponse, read_results)


def embed(
    inputs: Sequence[str | Sequence[int]], **options: Unpack[EmbedOptions]
) -> Rpc[pb.EmbedResponse, Embeddings]:
    """A vector for each input."""
    request = embed_request(inputs, options)
    return Rpc(f"{_INFERENCE}/Embed", request, pb.EmbedResponse, read_embeddings)


def detokenize(token_ids: Sequence[int]) -> Rpc[pb.DetokenizeResponse, str]:
    """The text that tokens spell."""
    request = pb.DetokenizeRequest(token_ids=token_ids)
    return Rpc(f"{_INFERENCE}/Detokenize", request, pb.DetokenizeResponse, lambda reply: reply.text)


def tokenize(prompt: str | None, **options: Unpack[Input]) -> Rpc[pb.TokenizeResponse, Tokens]:
    """The tokens that an answer would begin after."""
    request = tokenize_request(prompt, options)
    return Rpc(f"{_INFERENCE}/Tokenize", request, pb.TokenizeResponse, read_tokens)


def model() -> Rpc[pb.Model, Model]:
    """The resident base and the limits of the server."""
    return Rpc(f"{_INFERENCE}/GetModel", pb.GetModelRequest(), pb.Model, read_model)


def loaded_adapters(token: str) -> Rpc[pb.ListLoadedAdaptersResponse, Page[LoadedAdapter]]:
    """A page of the adapters that the engine holds."""
    request = pb.ListLoadedAdaptersRequest(page_size=_MOST, page_token=token)

    def read(reply: pb.ListLoadedAdaptersResponse) -> Page[LoadedAdapter]:
        return Page(tuple(map(read_loaded, reply.adapters)), reply.next_page_token)

    return Rpc(f"{_INFERENCE}/ListLoadedAdapters", request, pb.ListLoadedAdaptersResponse, read)


def is_serving() -> Rpc[health_pb2.HealthCheckResponse, bool]:
    """Whether the server says that it serves."""
    return Rpc(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest(),
        health_pb2.HealthCheckResponse,
        lambda reply: bool(reply.status == health_pb2.HealthCheckResponse.SERVING),
        is_probe=True,
    )


def resolve(reference: str) -> Rpc[adapter_pb2.Version, Version]:
    """The version that a reference means now."""
    request = registry_pb.ResolveAdapterRequest(reference=reference)
    return Rpc(f"{_REGISTRY}/ResolveAdapter", request, adapter_pb2.Version, read_version)


def adapters(
    token: str, where: VersionFilter = EVERY_VERSION
) -> Rpc[registry_pb.ListAdaptersResponse, Page[Adapter]]:
    """A page of adapters that have such a version, sorted by name."""
    request = registry_pb.ListAdaptersRequest(page_token=token, filter=filter_message(where))

    def read(reply: registry_pb.ListAdaptersResponse) -> Page[Adapter]:
        check_applied(request.filter, reply.applied_filters)
        return Page(tuple(map(read_adapter, reply.adapters)), reply.next_page_token)

    return Rpc(f"{_REGISTRY}/ListAdapters", request, registry_pb.ListAdaptersResponse, read)


def versions(
    name: str, token: str, where: VersionFilter = EVERY_VERSION
) -> Rpc[registry_pb.ListVersionsResponse, Page[Version]]:
    """A page of such versions, the newest first."""
    request = registry_pb.ListVersionsRequest(name=name, page_token=token, filter=filter_message(where))

    def read(reply: registry_pb.ListVersionsResponse) -> Page[Version]:
        check_applied(request.filter, reply.applied_filters)
        return Page(tuple(map(read_version, reply.versions)), reply.next_page_token)

    return Rpc(f"{_REGISTRY}/ListVersions", request, registry_pb.ListVersionsResponse, read)


def aliases(name: str, token: str) -> Rpc[registry_pb.ListAliasesResponse, Page[Alias]]:
    """A page of an adapter's aliases, sorted."""
    request = registry_pb.ListAliasesRequest(name=name, page_token=token)

    def read(reply: registry_pb.ListAliasesResponse) -> Page[Alias]:
        return Page(tuple(map(read_alias, reply.aliases)), reply.next_page_token)

    return Rpc(f"{_REGISTRY}/ListAliases", request, registry_pb.ListAliasesResponse, read)


def history(
    name: str, alias: str, token: str, where: MoveFilter = EVERY_MOVE
) -> Rpc[registry_pb.ListAliasMovesResponse, Page[AliasMove]]:
    """A page of such moves of one alias, or of all where it is empty, the newest first."""
    request = registry_pb.ListAliasMovesRequest(
        name=name,
        alias=alias,
        page_size=_MOST,
        page_token=token,
        actor=where.actor,
        moved_since=timestamp(where.since, "since"),
        moved_until=timestamp(where.until, "until"),
    )

    def read(reply: registry_pb.ListAliasMovesResponse) -> Page[AliasMove]:
        check_applied(request, reply.applied_filters)
        return Page(tuple(map(read_move, reply.moves)), reply.next_page_token)

    return Rpc(f"{_REGISTRY}/ListAliasMoves", request, registry_pb.ListAliasMovesResponse, read)


def rollback_alias(name: str, alias: str, expected_version: int, actor: str) -> Rpc[adapter_pb2.Alias, Alias]:
    """Undoes the last move of an alias that was not undone yet."""
    request = registry_pb.RollbackAliasRequest(
        name=name, alias=alias, expected_version=expected_version, actor=actor
    )
    return Rpc(f"{_REGISTRY}/RollbackAlias", request, adapter_pb2.Alias, read_alias, is_repeatable=False)


def delete_alias(name: str, alias: str, expected_version: int | None, actor: str) -> Rpc[Empty, None]:
    """Deletes an alias."""
    request = registry_pb.DeleteAliasRequest(
        name=name, alias=alias, expected_version=expected_version, actor=actor
    )
    return Rpc(f"{_REGISTRY}/DeleteAlias", request, Empty, _nothing, is_repeatable=False)


def delete_version(name: str, version: int, actor: str) -> Rpc[Empty, None]:
    """Deletes a version that no alias points at."""
    request = registry_pb.DeleteVersionRequest(name=name, version=version, actor=actor)
    return Rpc(f"{_REGISTRY}/DeleteVersion", request, Empty, _nothing, is_repeatable=False)


def delete_adapter(name: str, force: bool, actor: str) -> Rpc[Empty, None]:
    """Deletes every version of an adapter; with `force` also those that aliases point at."""
    request = registry_pb.DeleteAdapterRequest(name=name, force=force, actor=actor)
    return Rpc(f"{_REGISTRY}/DeleteAdapter", request, Empty, _nothing, is_repeatable=False)


def download(reference: str) -> StreamRpc[registry_pb.DownloadVersionResponse]:
    """A version and its files."""
    request = registry_pb.DownloadVersionRequest(reference=reference)
    return StreamRpc(f"{_REGISTRY}/DownloadVersion", request, registry_pb.DownloadVersionResponse)


def _nothing(reply: Empty) -> None:
    return None
