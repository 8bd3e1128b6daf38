"""Loads the resident base: a transformers decoder with NF4 linears and paged attention.

Knows only local folders; the caller fetches them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from parfocal.engine.backends import choose_backend
from parfocal.engine.base_cache import BaseCache
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading.base_settings import checked_config, device_of, dtype_of, is_stored_quantised
from parfocal.engine.loading.base_tokenizer import load_tokenizer
from parfocal.engine.loading.cache_entry import CacheEntry, weight_facts
from parfocal.engine.loading.checkpoint import check_files, check_linears, check_report
from parfocal.engine.loading.cpu_threads import on_passing_thread
from parfocal.engine.loading.frozen_model import Shell, freeze, layout_facts, thaw
from parfocal.engine.loading.held_bytes import held_bytes
from parfocal.engine.lora import ADAPTER_DTYPES, ActiveAdapters, adapt_linears
from parfocal.engine.model import (
    ATTENTION,
    Backend,
    BaseInfo,
    KvShape,
    LinearLayout,
    ResidentBase,
    register_attention,
)
from parfocal.engine.text import end_token_ids


def quantisation_config(dtype: torch.dtype) -> BitsAndBytesConfig:
    """The one 4-bit recipe: NF4, double quantisation (QLoRA, arXiv 2305.14314), blocks of 64."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def load_base(
    folder: Path,
    config: EngineConfig,
    name: str = "",
    cache: BaseCache | None = None,
    backend: Backend | None = None,
) -> ResidentBase:
    """Loads the base in `folder` onto the device; with a `cache`, quantises and packs it just once.

    Without a `backend`, the fastest one that suits is chosen.

    Raises:
        BaseRefused: the architecture or one of its options is not supported.
    """
    return on_passing_thread(lambda: _load(folder, config, name, cache, backend))


def _load(
    folder: Path, config: EngineConfig, name: str, cache: BaseCache | None, backend: Backend | None
) -> ResidentBase:
    settings = checked_config(folder)
    tokenizer = load_tokenizer(folder)  # takes no time beside the weights, and may be at fault
    device = device_of(config.device)
    dtype = dtype_of(config.dtype, device)
    register_attention()
    text = settings.get_text_config()
    heads = text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    backend = backend or choose_backend(config, device, dtype, head_dim)
    kv_shape = KvShape(
        layers=text.num_hidden_layers,
        heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=head_dim,
        dtype=backend.kv_dtype,
    )
    loading = Loading(dtype, device, ATTENTION, exact=config.dtype == "float32")
    model = _model(folder, loading, backend.linears, cache)
    shapes = _adaptable_linears(model)
    backend.prepare(model)
    active = ActiveAdapters()
    adapt_linears(model, shapes, active)
    context = min(text.max_position_embeddings, config.context_tokens or text.max_position_embeddings)
    info = BaseInfo(
        name=name or folder.name,
        architecture=(settings.architectures or [type(model).__name__])[0],
        context_tokens=context,
        vocabulary=text.vocab_size,
        dtype=str(dtype).removeprefix("torch."),
        device=str(device),
        eos_ids=end_token_ids(folder, tokenizer.eos_token_id),
        memory_bytes=held_bytes(model),
        layers=text.num_hidden_layers,
    )
    adapter_dtype = ADAPTER_DTYPES.get(config.adapter_dtype, backend.adapter_dtype)
    return ResidentBase(
        model, tokenizer, info, kv_shape, shapes, active, device, dtype, adapter_dtype, backend
    )


@dataclass(frozen=True, slots=True)
class Loading:
    """How to hold a model's weights; `attention` is a name that transformers knows.

    `exact` keeps float32 arithmetic in float32. Without it bitsandbytes may multiply in bfloat16 on CPUs that
    are fast at it, which rounds, and repack a weight in place, after which no gradient passes through it.
    """

    dtype: torch.dtype
    device: torch.device
    attention: str
    exact: bool


def load_quantised(folder: Path, loading: Loading) -> nn.Module:
    """Loads the model in `folder` with its linears in NF4, ready for inference.

    Training and parity tests call this with transformers' own attention: the weights are bit-identical.

    Raises:
        BaseRefused: a tensor is missing, misshapen or not finite, or is stored in another recipe.
    """
    check_files(folder, loading.dtype)
    # Weights stored in the recipe carry it, and passing it again triggers a warning.
    stored = is_stored_quantised(folder)
    recipe = {} if stored else {"quantization_config": quantisation_config(loading.dtype)}
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=loading.dtype,
        attn_implementation=loading.attention,
        device_map={"": loading.device},
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # the report names them
        **recipe,
    )
    model: nn.Module
    model, report = loaded
    check_report(folder, report)
    check_linears(folder, model)
    if stored:
        _compute_in(model, loading.dtype)
    if loading.exact:
        _keep_exact(model)
    return model.eval()


def _model(folder: Path, loading: Loading, linears: LinearLayout, cache: BaseCache | None) -> nn.Module:
    """The model with NF4 linears in the backend's layout, through the cache if there is one."""
    if cache is None:
        return _fresh_model(folder, loading, linears)
    recipe = quantisation_config(loading.dtype).to_json_string()
    facts = {**weight_facts(folder), **layout_facts(loading.device, linears), "recipe": recipe}
    entry = CacheEntry(cache, facts)
    frozen = entry.read(loading.device)
    if frozen is None:
        model = _fresh_model(folder, loading, linears)
        entry.write(freeze(model, linears))
        return model
    model = thaw(Shell(folder, loading.dtype, loading.attention), frozen, linears)
    if loading.exact:
        _keep_exact(model)
    return model


def _fresh_model(folder: Path, loading: Loading, linears: LinearLayout) -> nn.Module:
    model = load_quantised(folder, loading)
    linears.pack(model)
    return model.eval()


def _compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Weights stored quantised would otherwise keep the types they were saved with."""
    for module in model.modules():
        if isinstance(module, Linear4bit):
            weight: Any = module.weight
            module.compute_dtype = weight.quant_state.dtype = dtype
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def _keep_exact(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _adaptable_linears(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Every linear in the decoder layers, of any class; embeddings and head are not adapted."""
    return {
        path: (module.in_features, module.out_features)
        for path, module in model.named_modules()
        if isinstance(module, _Linear) and ".layers." in path
    }


@runtime_checkable
class _Linear(Protocol):
    """A module that turns `in_features` numbers into `out_features`."""

    in_features: int
    out_features: int
