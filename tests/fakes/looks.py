"""A server as a monitor sees it, made up: models, adapters and metrics pages."""

from collections.abc import Mapping, Sequence

from parfocal.cli.monitoring import Look, MetricsPage
from parfocal.client import Base, Limits, LoadedAdapter, Model

MODEL = Model(
    base=Base("team/base-8b", "abc", "sha256:c", "sha256:t", None, "bitsandbytes-nf4"),
    architecture="LlamaForCausalLM",
    context_tokens=4096,
    vocabulary_size=32000,
    dtype="bfloat16",
    device="cuda:0",
    slots=16,
    memory_bytes=5 << 30,
    has_chat_template=True,
    eos_token_ids=(2,),
    limits=Limits(2048, 64, 256, 128, 20, 1 << 20),
    pinned_adapters=(),
    server_version="0.1.0",
)


def loaded(name: str = "team/invoices", version: int = 3, **fields: object) -> LoadedAdapter:
    """An adapter on the device, some fields changed."""
    usual: dict[str, object] = {
        "name": name,
        "version": version,
        "digest": "sha256:" + "1" * 64,
        "state": "ready",
        "tier": "device",
        "size_bytes": 21 << 20,
        "pins": 2,
        "rank": 16,
        "pinned": False,
    }
    return LoadedAdapter(**{**usual, **fields})  # type: ignore[arg-type]


def page(values: Mapping[str, float]) -> MetricsPage:
    """A page with these samples, each name with its labels as Prometheus writes them."""
    return MetricsPage.parse("".join(f"{name} {value}\n" for name, value in values.items()))


def serving(
    taken_s: float, values: Mapping[str, float] | None = None, adapters: Sequence[LoadedAdapter] = ()
) -> Look:
    """A look at a server that serves."""
    shown = None if values is None else page(values)
    return Look(taken_s, "serving", model=MODEL, adapters=tuple(adapters), page=shown)
