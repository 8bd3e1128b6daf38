"""Writes a base of a given shape with random weights as a folder that transformers loads. Needs no torch."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from parfocal.bench.workloads import Shape

Weights = NDArray[np.float16]

SPECIAL = ("<|bos|>", "<|eos|>", "<|pad|>")

# Raise it when what is written changes, so that no older folder is taken from the cache.
_FORMAT = 1
_STD = 0.02


def cached_base(shape: Shape, cache: Path) -> Path:
    """The folder of the shape's random base under `cache`, written at its first use.

    The folder appears whole or not at all, so two benches may ask for it at once.
    """
    folder = cache / f"{shape.name}-{_FORMAT}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{shape.name}-", dir=cache))
        try:
            write_base(shape, unfinished)
            unfinished.rename(folder)
        except OSError:
            # The rename fails when another bench was faster, and its folder serves as well.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def write_base(shape: Shape, folder: Path, seed: int = 0) -> None:
    """Writes configuration, normally distributed weights and tokenizer into an existing folder."""
    random = np.random.default_rng(seed)
    save_file(dict(_tensors(shape, random)), folder / "model.safetensors", metadata={"format": "pt"})
    write_settings(shape, folder)


def write_settings(shape: Shape, folder: Path) -> None:
    """Writes configuration and tokenizer alone: what adapters are bound to."""
    (folder / "config.json").write_text(json.dumps(_config(shape), indent=2) + "\n")
    _write_tokenizer(shape, folder)


def normal(random: np.random.Generator, size: tuple[int, ...], std: float) -> Weights:
    """Normal numbers in half precision, which is how weights of bases and adapters are stored."""
    return (random.standard_normal(size, dtype=np.float32) * np.float32(std)).astype(np.float16)


def _config(shape: Shape) -> dict[str, object]:
    first = shape.vocabulary - len(SPECIAL)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context_tokens,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": first,
        "eos_token_id": first + 1,
        "pad_token_id": first + 2,
        "dtype": "float16",
    }


def _tensors(shape: Shape, random: np.random.Generator) -> Iterator[tuple[str, Weights]]:
    ones = np.ones(shape.hidden, dtype=np.float16)
    yield "model.embed_tokens.weight", normal(random, (shape.vocabulary, shape.hidden), _STD)
    for linear in shape.linears:
        yield f"{linear.path}.weight", normal(random, (linear.tall, linear.wide), _STD)
    for layer in range(shape.layers):
        yield f"model.layers.{layer}.input_layernorm.weight", ones.copy()
        yield f"model.layers.{layer}.post_attention_layernorm.weight", ones.copy()
    yield "model.norm.weight", ones
    if not shape.tied:
        yield "lm_head.weight", normal(random, (shape.vocabulary, shape.hidden), _STD)


def _write_tokenizer(shape: Shape, folder: Path) -> None:
    """Bytes, then short words up to the vocabulary's size: random tokens become text as real ones do."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġw{number}" for number in range(shape.vocabulary - len(alphabet) - len(SPECIAL))]
    vocabulary = {piece: index for index, piece in enumerate([*alphabet, *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("bos_token", "eos_token", "pad_token"), SPECIAL, strict=True))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
