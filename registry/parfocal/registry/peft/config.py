"""Reads a PEFT `adapter_config.json`: every field is either used, harmless, or refused by name.

Field list: `LoraConfig` of PEFT 0.21. Does not look at tensors.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.fields import refuse_unsupported
from parfocal.registry.peft.module_patterns import ModulePatterns
from parfocal.registry.values import JSON, InvalidJson, kind_of, loads

MAX_RANK = 256

_FILE = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """The part of a LoRA configuration that decides what is computed.

    `selection` holds the fields that choose modules, as they were written: PEFT needs them to load it again.
    """

    base: str | None
    revision: str | None
    rank: int
    alpha: float
    use_rslora: bool
    rank_pattern: ModulePatterns[int]
    alpha_pattern: ModulePatterns[float]
    selection: Mapping[str, JSON]

    def rank_of(self, path: str) -> int:
        """Returns the rank that PEFT gives to the module at `path`."""
        return self.rank_pattern.value_for(path, self.rank)

    def alpha_of(self, path: str) -> float:
        """Returns the alpha that PEFT gives to the module at `path`."""
        return self.alpha_pattern.value_for(path, self.alpha)

    def selects(self, path: str) -> bool:
        """Returns whether PEFT would wrap the module at `path`.

        Only lists of names are judged, by PEFT's suffix rule; what a regular expression means depends on how
        the base nests its modules.
        """
        targets = self.selection.get("target_modules")
        if not isinstance(targets, list):
            return True
        return any(path == target or path.endswith(f".{target}") for target in targets)

    def normalised(self, base_id: str, revision: str | None, paths: Collection[str]) -> dict[str, JSON]:
        """Returns the configuration to publish: what decides the result at `paths`, bound to its base."""
        alphas = self.alpha_pattern.published(paths, self.alpha)
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_id,
            "revision": revision,
            "inference_mode": True,
            "r": self.rank,
            "lora_alpha": _shortest(self.alpha),
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "use_rslora": self.use_rslora,
            "use_dora": False,
            "rank_pattern": self.rank_pattern.published(paths, self.rank),
            "alpha_pattern": {key: _shortest(alpha) for key, alpha in alphas.items()},
            "modules_to_save": None,
            **self.selection,
        }


def read_peft_config(data: bytes) -> PeftConfig:
    """Returns the configuration in the bytes of an `adapter_config.json`.

    Raises MalformedFile for what is no configuration, UnsupportedAdapter for what serving does not do.
    """
    try:
        fields = loads(data)
    except InvalidJson as error:
        raise MalformedFile(f"{_FILE} is not strict JSON: {error}", field=_FILE) from error
    if not isinstance(fields, Mapping):
        raise MalformedFile(f"{_FILE} is {kind_of(fields)}, not an object", field=_FILE)
    refuse_unsupported(fields)
    return PeftConfig(
        base=_optional_text(fields, "base_model_name_or_path"),
        revision=_optional_text(fields, "revision"),
        rank=_rank(fields.get("r", 8), "r"),
        alpha=_alpha(fields.get("lora_alpha", 8), "lora_alpha"),
        use_rslora=_boolean(fields, "use_rslora"),
        rank_pattern=_rank_pattern(fields),
        alpha_pattern=_alpha_pattern(fields),
        selection=_selection(fields),
    )


def _selection(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    names = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
    selection = {name: _sorted(fields.get(name), name) for name in names if fields.get(name) is not None}
    if "target_modules" not in selection:
        raise MalformedFile(
            f"{_FILE} names no target_modules, so nothing would be adapted", field="target_modules"
        )
    return selection


def _sorted(value: JSON, name: str) -> JSON:
    """Returns a list sorted, as PEFT writes a set in a new order on every save."""
    if isinstance(value, str) or (name == "layers_to_transform" and isinstance(value, int)):
        return value
    kind = int if name == "layers_to_transform" else str
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise MalformedFile(
            f"{_FILE}: {name} is neither a text nor a list of {kind.__name__} values", field=name
        )
    return sorted(value) if kind is int else sorted(str(item) for item in value)


def _rank_pattern(fields: Mapping[str, JSON]) -> ModulePatterns[int]:
    name = "rank_pattern"
    return ModulePatterns({key: _rank(value, f"{name}.{key}") for key, value in _pattern(fields, name)}, name)


def _alpha_pattern(fields: Mapping[str, JSON]) -> ModulePatterns[float]:
    name = "alpha_pattern"
    return ModulePatterns(
        {key: _alpha(value, f"{name}.{key}") for key, value in _pattern(fields, name)}, name
    )


def _pattern(fields: Mapping[str, JSON], name: str) -> list[tuple[str, JSON]]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not an object", field=name)
    return list(value.items())


def _rank(value: JSON, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_RANK:
        raise UnsupportedAdapter(
            f"{_FILE}: {name} is {value!r}; ranks from 1 to {MAX_RANK} are served", field=name
        )
    return value


def _alpha(value: JSON, name: str) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (math.isfinite(value) and value > 0)
    ):
        raise MalformedFile(f"{_FILE}: {name} is {value!r}, not a number above zero", field=name)
    return float(value)


def _boolean(fields: Mapping[str, JSON], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not true or false", field=name)
    return value


def _optional_text(fields: Mapping[str, JSON], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not text", field=name)
    return value or None


def _shortest(value: float) -> int | float:
    """Returns a whole number as an integer, as PEFT declares `lora_alpha`."""
    return int(value) if value.is_integer() else value
