"""Reads a PEFT `adapter_config.json` and refuses by name what the engine cannot compute.

Knows nothing of tensors: only which rank and scale the configuration gives to a module.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parfocal.engine.errors import AdapterCorrupt, AdapterRefused

CONFIG_FILE = "adapter_config.json"

_MAX_CONFIG_BYTES = 8 << 20
_MAX_PATTERN_CHARACTERS = 512
_MAX_PATTERN_CHOICES = 4
_MAX_PATTERN_ALTERNATIVES = 16
# Fields that do not change what the adapter computes, or that this module reads itself.
_HARMLESS = frozenset({
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "corda_config",
    "ensure_weight_tying", "eva_config", "exclude_modules", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha", "lora_dropout",
    "lora_ga_config", "megatron_core", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
    "velora_config",
})  # fmt: skip
# The others, such as PiSSA, also change the base's weights: the tensors alone are not the adapter.
_PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva", "mica")


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """The part of a LoRA configuration that its numbers depend on.

    Patterns map a regular expression over module paths to a rank or an alpha, in the file's order.
    """

    rank: int
    alpha: float
    use_rslora: bool
    rank_pattern: tuple[tuple[re.Pattern[str], int], ...]
    alpha_pattern: tuple[tuple[re.Pattern[str], float], ...]

    def rank_of(self, path: str) -> int:
        """Returns the rank of the module at `path`: the first pattern that matches its end at a dot wins."""
        return next((rank for pattern, rank in self.rank_pattern if pattern.match(path)), self.rank)

    def scale_of(self, path: str) -> float:
        """Returns alpha / r, or alpha / sqrt(r) for rsLoRA (arXiv 2312.03732)."""
        alpha = next((alpha for pattern, alpha in self.alpha_pattern if pattern.match(path)), self.alpha)
        rank = self.rank_of(path)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank


def read_settings(folder: Path) -> AdapterSettings:
    """Returns what `folder`'s configuration says.

    Raises AdapterRefused for a field that is not supported, AdapterCorrupt for a file that cannot be read.
    """
    fields = _read_json(folder / CONFIG_FILE)
    _refuse_unsupported(fields)
    return AdapterSettings(
        rank=_rank("r", fields.get("r", 8)),
        alpha=_alpha("lora_alpha", fields.get("lora_alpha", 8)),
        use_rslora=bool(fields.get("use_rslora", False)),
        rank_pattern=tuple(
            (_pattern(key, "rank_pattern"), _rank(f"rank_pattern[{key!r}]", value))
            for key, value in _table(fields, "rank_pattern").items()
        ),
        alpha_pattern=tuple(
            (_pattern(key, "alpha_pattern"), _alpha(f"alpha_pattern[{key!r}]", value))
            for key, value in _table(fields, "alpha_pattern").items()
        ),
    )


def _read_json(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        raise AdapterRefused(f"the adapter has no {CONFIG_FILE}; a PEFT folder with one is needed")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise AdapterRefused(
            f"{CONFIG_FILE} has {path.stat().st_size} bytes; up to {_MAX_CONFIG_BYTES} are read"
        )
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise AdapterCorrupt(f"{CONFIG_FILE} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise AdapterCorrupt(f"{CONFIG_FILE} holds a {type(fields).__name__}, not an object")
    return fields


def _refuse_unsupported(fields: Mapping[str, object]) -> None:
    _require(fields, "peft_type", ("LORA",))
    _require(fields, "task_type", (None, "CAUSAL_LM"))
    _require(fields, "bias", (None, "none"))
    _require(fields, "use_rslora", (None, False, True))
    start = fields.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise _unsupported(
            "init_lora_weights",
            start,
            "it changes the base's weights; convert the adapter to plain LoRA when saving it "
            "(PEFT: save_pretrained with path_initial_model_for_weight_conversion)",
        )
    for name, value in fields.items():
        # A field that is off changes nothing; one that is on and unknown may change everything.
        if value and name not in _HARMLESS:
            raise _unsupported(name, value, "plain LoRA and rsLoRA on linear layers are served; leave it off")


def _require(fields: Mapping[str, object], name: str, supported: tuple[object, ...]) -> None:
    value = fields.get(name)
    if not isinstance(value, str | bool | None) or value not in supported:
        names = ", ".join("absent" if one is None else repr(one) for one in supported)
        raise _unsupported(name, value, f"supported: {names}")


def _unsupported(name: str, value: object, advice: str) -> AdapterRefused:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return AdapterRefused(f"{CONFIG_FILE}: {name} = {shown} is not supported: {advice}", config_field=name)


def _rank(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise AdapterCorrupt(f"{CONFIG_FILE}: {name} = {value!r} is not a rank; it must be an integer >= 1")
    return value


def _alpha(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AdapterCorrupt(f"{CONFIG_FILE}: {name} = {value!r} is not an alpha; it must be a finite number")
    return float(value)


def _table(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = fields.get(name) or {}
    if not isinstance(table, dict):
        raise AdapterCorrupt(f"{CONFIG_FILE}: {name} holds a {type(table).__name__}, not an object")
    return table


def _pattern(key: str, name: str) -> re.Pattern[str]:
    """Returns `key` compiled as PEFT 0.21 `get_pattern_key` reads it: it must match a path's end, at a dot.

    A match holds the interpreter's lock, so a pattern that backtracks without end would stop every request;
    patterns that could are refused: few choices, none of them repeated as a group.
    """
    plain = re.sub(r"\\.|\[[^\]]*\]", "_", key)
    choices = len(re.findall(r"[*+?{(]", plain))
    endless = choices > _MAX_PATTERN_CHOICES or plain.count("|") > _MAX_PATTERN_ALTERNATIVES
    if endless or len(key) > _MAX_PATTERN_CHARACTERS or re.search(r"\)[*+{]", plain):
        advice = (
            f"a pattern has up to {_MAX_PATTERN_CHARACTERS} characters, up to {_MAX_PATTERN_CHOICES} of "
            f"* + ? {{ (, up to {_MAX_PATTERN_ALTERNATIVES} of | and no repeated group"
        )
        raise _unsupported(f"{name} key", key, advice)
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except (re.error, OverflowError) as error:
        raise AdapterCorrupt(f"{CONFIG_FILE}: {name} key {key!r} is not a pattern: {error}") from error
