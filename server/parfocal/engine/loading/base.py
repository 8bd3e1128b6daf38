"""Loads the one base that stays resident: a transformers decoder, its linears in NF4, its attention paged.

Knows local folders only; where a folder comes from is the caller's affair.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedTokenizerBase,
)

from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.linear import NativeLinear, Numbers
from parfocal.engine.base_cache import BaseCache
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading.base_settings import checked_config, device_of, dtype_of, is_stored_quantised
from parfocal.engine.loading.cache_entry import CacheEntry, weight_facts
from parfocal.engine.loading.checkpoint import check_files, check_linears, check_report
from parfocal.engine.loading.cpu_linears import kernels_for, numbers_of, speed_up, tile
from parfocal.engine.loading.cpu_threads import on_passing_thread
from parfocal.engine.loading.frozen_model import freeze, layout_facts, thaw
from parfocal.engine.lora import ADAPTER_DTYPES, ActiveAdapters, adapt_linears
from parfocal.engine.memory.device_memory import held_bytes
from parfocal.engine.model import attention
from parfocal.engine.model.kv_cache import KvShape
from parfocal.engine.text import end_token_ids

if TYPE_CHECKING:
    from parfocal.engine.backends.cuda.card import Card

log = logging.getLogger(__name__)

BLOCK_SIZE = 64


@dataclass(frozen=True, slots=True)
class BaseInfo:
    """What people and replies want to know of the resident base."""

    name: str
    architecture: str
    context_tokens: int
    vocabulary: int
    dtype: str
    device: str
    eos_ids: tuple[int, ...]
    memory_bytes: int
    layers: int


@dataclass(frozen=True, slots=True)
class ResidentBase:
    """A loaded base: `shapes` maps each adaptable linear to (in_features, out_features).

    `native` computes the steps' LoRA work and attention if it is not None, with adapters in `adapter_dtype`;
    on CUDA `card` does, if it is not None.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    info: BaseInfo
    kv_shape: KvShape
    shapes: Mapping[str, tuple[int, int]]
    active: ActiveAdapters
    device: torch.device
    dtype: torch.dtype
    adapter_dtype: torch.dtype
    native: Library | None
    card: "Card | None" = None


def quantisation_config(dtype: torch.dtype) -> BitsAndBytesConfig:
    """Returns the one 4-bit recipe: NF4, double quantisation (QLoRA, arXiv 2305.14314), blocks of 64."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def load_base(
    folder: Path, config: EngineConfig, name: str = "", cache: BaseCache | None = None
) -> ResidentBase:
    """Loads the base in `folder` onto the device; with a `cache`, quantises and packs it only once.

    Raises:
        BaseRefused: the architecture or one of its options is not supported.
    """
    return on_passing_thread(lambda: _load(folder, config, name, cache))


def _load(folder: Path, config: EngineConfig, name: str, cache: BaseCache | None) -> ResidentBase:
    settings = checked_config(folder)
    device = device_of(config.device)
    dtype = dtype_of(config.dtype, device)
    attention.register()
    text = settings.get_text_config()
    heads = text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    native = kernels_for(config, dtype, head_dim, device)
    exact = config.dtype == "float32"
    loading = Loading(dtype, device, attention.ATTENTION, exact, numbers_of(config))
    kv_shape = KvShape(
        layers=text.num_hidden_layers,
        heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=head_dim,
        # Half the bytes of a step's context, 11 bits of precision.
        dtype=dtype if native is None or exact else torch.float16,
    )
    model = _model(folder, loading, native, cache)
    shapes = _adaptable_linears(model)
    speed_up(model, config, dtype, native)
    active = ActiveAdapters()
    adapt_linears(model, shapes, active)
    tokenizer = AutoTokenizer.from_pretrained(folder)
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
    integers = native is not None and config.dtype == "auto"
    adapter_dtype = ADAPTER_DTYPES.get(config.adapter_dtype, torch.int16 if integers else dtype)
    return ResidentBase(
        model,
        tokenizer,
        info,
        kv_shape,
        shapes,
        active,
        device,
        dtype,
        adapter_dtype,
        native,
        _card(config, device),
    )


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model's weights are held: `attention` is a name that transformers knows.

    `exact` keeps float32 arithmetic in float32. Without it bitsandbytes may multiply in bfloat16 on CPUs that
    do so fast, which rounds, and repacks a weight in place so that no gradient passes through it any more.
    `numbers` are for the native kernels, where they run.
    """

    dtype: torch.dtype
    device: torch.device
    attention: str
    exact: bool
    numbers: Numbers = Numbers.EXACT


def load_quantised(folder: Path, loading: Loading) -> nn.Module:
    """Loads the model in `folder` with its linears in NF4, ready for inference.

    Training and parity tests call this with transformers' own attention: the weights are the same bits.

    Raises:
        BaseRefused: a tensor is missing, misshapen or not finite, or is stored in another recipe.
    """
    check_files(folder)
    # Weights that are stored in the recipe bring it along, and passing it once more is warned of.
    stored = is_stored_quantised(folder)
    recipe = {} if stored else {"quantization_config": quantisation_config(loading.dtype)}
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=loading.dtype,
        attn_implementation=loading.attention,
        device_map={"": loading.device},
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are in the report, by name
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


def _model(folder: Path, loading: Loading, tiling: Library | None, cache: BaseCache | None) -> nn.Module:
    """Returns the model with its linears in NF4, tiled if there are kernels for that; cached if it may be."""
    if cache is None:
        return _fresh_model(folder, loading, tiling)
    recipe = quantisation_config(loading.dtype).to_json_string()
    entry = CacheEntry(
        cache,
        {
            **weight_facts(folder),
            **layout_facts(loading.device, tiling),
            "recipe": recipe,
            "numbers": int(loading.numbers),
        },
    )
    frozen = entry.read(loading.device)
    if frozen is None:
        model = _fresh_model(folder, loading, tiling)
        entry.write(freeze(model))
        return model
    model = thaw(folder, frozen, loading.dtype, loading.attention, tiling)
    if loading.exact:
        _keep_exact(model)
    return model


def _fresh_model(folder: Path, loading: Loading, tiling: Library | None) -> nn.Module:
    model = load_quantised(folder, loading)
    if tiling is not None:
        tile(model, tiling, loading.numbers)
    return model.eval()


def _compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Weights that are stored quantised keep the types they were saved with unless told otherwise."""
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
    """Returns every linear inside the decoder layers; embeddings and the head are not adapted."""
    return {
        path: (module.in_features, module.out_features)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | NativeLinear) and ".layers." in path
    }


def _card(config: EngineConfig, device: torch.device) -> "Card | None":
    if device.type != "cuda" or config.kernels == "torch":
        return None
    try:
        # Not with the others: Triton, which it imports, comes with torch's CUDA builds alone.
        from parfocal.engine.backends.cuda.card import card_of
    except ImportError as error:
        log.warning("the kernels for CUDA are not used (%s); plain torch computes: slower, but right", error)
        return None
    return card_of(device)
