"""Reads a PEFT `adapter_config.json`: every field is either used, harmless, or refused by name.

Field list: `LoraConfig` of PEFT 0.21. Does not look at tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.fields import check_fields, decides
from parfocal.registry.peft.module_patterns import ModulePatterns
from parfocal.registry.peft.pattern_graph import ModulePath, Work
from parfocal.registry.peft.selection import Selection, read_selection
from parfocal.registry.values import JSON, UnreadableJson, check_once, kind_of, read_foreign_json

MAX_RANK = 256
_MAX_ALPHA = 3.4e38

_FILE = "adapter_config.json"
# A path on somebody's machine, or an id on the Hub.
_MAX_NAME_LENGTH = 1000
# Lists of modules and patterns for each of them; the largest adapters name 20,000 modules.
_MAX_VALUES = 200_000


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """The part of a LoRA configuration that decides what is computed; `warnings` name what was ignored.

    `work` is what its patterns may still take together.
    """

    base: str | None
    revision: str | None
    rank: int
    alpha: float
    use_rslora: bool
    rank_pattern: ModulePatterns[int]
    alpha_pattern: ModulePatterns[float]
    selection: Selection
    warnings: tuple[str, ...] = field(default=(), compare=False)
    work: Work = field(default_factory=Work, compare=False, repr=False)

    def rank_of(self, module: ModulePath) -> int:
        """The rank that PEFT gives to a module; raises MalformedFile."""
        return self.rank_pattern.value_for(module, self.rank)

    def alpha_of(self, module: ModulePath) -> float:
        """The alpha that PEFT gives to a module; raises MalformedFile."""
        return self.alpha_pattern.value_for(module, self.alpha)

    def normalised(self, base_id: str, revision: str | None, paths: Mapping[str, str]) -> dict[str, JSON]:
        """The configuration to publish: what decides the result at `paths`, bound to its base.

        `paths` maps the path that each adapted module was trained at to its path in the base.
        """
        alphas = self.alpha_pattern.published(paths, self.alpha)
        moved = any(trained != path for trained, path in paths.items())
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
            **({"target_modules": sorted(paths.values())} if moved else self.selection.written),
        }


def read_peft_config(data: bytes) -> PeftConfig:
    """The configuration in the bytes of an `adapter_config.json`.

    Raises MalformedFile for an invalid configuration, UnsupportedAdapter for what serving does not support.
    """
    fields = _fields(data)
    warnings = check_fields(fields)
    work = Work()
    return PeftConfig(
        base=_name(fields, "base_model_name_or_path"),
        revision=_name(fields, "revision"),
        rank=_rank(fields.get("r", 8), "r"),
        alpha=_alpha(fields.get("lora_alpha", 8), "lora_alpha"),
        use_rslora=_boolean(fields, "use_rslora"),
        rank_pattern=_rank_pattern(fields, work),
        alpha_pattern=_alpha_pattern(fields, work),
        selection=read_selection(fields, work),
        warnings=warnings,
        work=work,
    )


def _fields(data: bytes) -> Mapping[str, JSON]:
    """A JSON object, in which no field that may decide the result appears twice."""
    try:
        fields = read_foreign_json(data, max_values=_MAX_VALUES)
        if not isinstance(fields, Mapping):
            raise MalformedFile(f"{_FILE} is {kind_of(fields)}, not an object", field=_FILE)
        check_once(fields, filter(decides, fields))
    except UnreadableJson as error:
        raise MalformedFile(f"{_FILE} is not JSON: {error}", field=_FILE) from error
    return fields


def _rank_pattern(fields: Mapping[str, JSON], work: Work) -> ModulePatterns[int]:
    name = "rank_pattern"
    values = {key: _rank(value, f"{name}.{key[:200]}") for key, value in _pattern(fields, name)}
    return ModulePatterns(values, name, work)


def _alpha_pattern(fields: Mapping[str, JSON], work: Work) -> ModulePatterns[float]:
    name = "alpha_pattern"
    values = {key: _alpha(value, f"{name}.{key[:200]}") for key, value in _pattern(fields, name)}
    return ModulePatterns(values, name, work)


def _pattern(fields: Mapping[str, JSON], name: str) -> list[tuple[str, JSON]]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not an object", field=name)
    try:
        check_once(value, value)
    except UnreadableJson as error:
        raise MalformedFile(f"{_FILE}: {name} is not JSON: {error}", field=name) from error
    return list(value.items())


def _rank(value: JSON, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_RANK:
        raise UnsupportedAdapter(
            f"{_FILE}: {name} is {str(value)[:80]!a}; ranks from 1 to {MAX_RANK} are served", field=name
        )
    return value


def _alpha(value: JSON, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_ALPHA:
        raise MalformedFile(
            f"{_FILE}: {name} is {str(value)[:80]!a}, not a number above zero that a float32 holds",
            field=name,
        )
    return float(value)


def _boolean(fields: Mapping[str, JSON], name: str) -> bool:
    value = fields.get(name) or False
    if not isinstance(value, bool):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not true or false", field=name)
    return value


def _name(fields: Mapping[str, JSON], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedFile(f"{_FILE}: {name} is {kind_of(value)}, not text", field=name)
    if value is not None and len(value) > _MAX_NAME_LENGTH:
        raise MalformedFile(
            f"{_FILE}: {name} has {len(value)} characters; up to {_MAX_NAME_LENGTH} are read", field=name
        )
    return value or None


def _shortest(value: float) -> int | float:
    """A whole number as an integer, as PEFT declares `lora_alpha`, if canonical JSON can hold it."""
    return int(value) if value.is_integer() and value < 1 << 63 else value
