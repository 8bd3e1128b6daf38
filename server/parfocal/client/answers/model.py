"""The resident base, its server's limits, and the adapters that the engine holds."""

from dataclasses import dataclass

from parfocal.client.answers.answer import ResolvedAdapter, read_resolved
from parfocal.v1 import inference_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Base:
    """What an adapter must have been trained on to run here."""

    id: str
    revision: str | None
    config_digest: str
    tokenizer_digest: str
    chat_template_digest: str | None
    quantisation: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server."""

    max_batch_tokens: int
    max_running_requests: int
    max_waiting_requests: int
    max_rank: int
    max_top_logprobs: int
    max_message_bytes: int
    max_choices: int = 1


@dataclass(frozen=True, slots=True)
class Model:
    """The resident base and the limits of its server.

    `metrics_address` is where the server shows its metrics, as it listens there; empty if nowhere.
    """

    base: Base
    architecture: str
    context_tokens: int
    vocabulary_size: int
    dtype: str
    device: str
    slots: int
    memory_bytes: int
    has_chat_template: bool
    eos_token_ids: tuple[int, ...]
    limits: Limits
    pinned_adapters: tuple[ResolvedAdapter, ...]
    server_version: str
    metrics_address: str = ""


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter that the engine holds.

    `state` is fetching, staged, loading, ready or draining; `tier` the fastest memory that holds it: device,
    host, disk or remote; `pins` how many requests forbid its eviction now; `pinned` that it never leaves.
    """

    name: str
    version: int
    digest: str
    state: str
    tier: str
    size_bytes: int
    pins: int
    rank: int
    pinned: bool

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def read_model(message: pb.Model) -> Model:
    """The message as a value."""
    base, limits = message.base, message.limits
    return Model(
        base=Base(
            id=base.id,
            revision=base.revision if base.HasField("revision") else None,
            config_digest=base.config_digest,
            tokenizer_digest=base.tokenizer_digest,
            chat_template_digest=base.chat_template_digest if base.HasField("chat_template_digest") else None,
            quantisation=base.quantisation.method,
        ),
        architecture=message.architecture,
        context_tokens=message.context_tokens,
        vocabulary_size=message.vocabulary_size,
        dtype=message.dtype,
        device=message.device,
        slots=message.slots,
        memory_bytes=message.memory_bytes,
        has_chat_template=message.has_chat_template,
        eos_token_ids=tuple(message.eos_token_ids),
        limits=Limits(
            limits.max_batch_tokens,
            limits.max_running_requests,
            limits.max_waiting_requests,
            limits.max_rank,
            limits.max_top_logprobs,
            limits.max_message_bytes,
            max(1, limits.max_choices),
        ),
        pinned_adapters=tuple(read_resolved(each) for each in message.pinned_adapters),
        server_version=message.server_version,
        metrics_address=message.metrics_address,
    )


def read_loaded(message: pb.LoadedAdapter) -> LoadedAdapter:
    """The message as a value."""
    states, tiers = pb.AdapterState.DESCRIPTOR, pb.Tier.DESCRIPTOR
    state = states.values_by_number.get(message.state)
    tier = tiers.values_by_number.get(message.tier)
    return LoadedAdapter(
        name=message.name,
        version=message.version,
        digest=message.digest,
        state="unknown" if state is None else state.name.removeprefix("ADAPTER_STATE_").lower(),
        tier="unknown" if tier is None else tier.name.removeprefix("TIER_").lower(),
        size_bytes=message.size_bytes,
        pins=message.pins,
        rank=message.rank,
        pinned=message.pinned,
    )
