"""Which modules a configuration chooses, by the rules of PEFT 0.21 (`check_target_module_exists`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.path_pattern import PathPattern
from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work
from parfocal.registry.values import JSON, kind_of

_FILE = "adapter_config.json"
_MAX_PATTERN_LENGTH = 4000
# A model has two or three lists of layers.
_MAX_LISTS = 16
# From this many names on, PEFT replaces them by shorter ones, and a full path by its end.
_PEFT_SHORTENS_FROM = 20
_EVERY_LINEAR = "all-linear"
_OUTPUTS = ("lm_head", "embed_out")


class _Choice(Protocol):
    """What a field chooses."""

    def holds(self, module: ModulePath) -> bool:
        """Whether the field chooses the module."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Whole paths, or their ends from behind a dot on."""

    names: frozenset[str]

    def holds(self, module: ModulePath) -> bool:
        """Whether one of the names is the path or its end."""
        text, start = module.text, 0
        while text[start:] not in self.names:
            start = text.find(".", start) + 1
            if not start:
                return False
        return True


@dataclass(frozen=True, slots=True)
class _Expression:
    """A regular expression for whole paths."""

    name: str
    pattern: PathPattern

    def holds(self, module: ModulePath) -> bool:
        """Whether the expression matches the path; raises MalformedFile when that takes too long."""
        try:
            return self.pattern.matches(module)
        except PatternError as error:
            raise MalformedFile(f"{_FILE}: the pattern in {self.name}: {error}", field=self.name) from error


class _EveryLinear:
    """Every linear module but the output layer."""

    def holds(self, module: ModulePath) -> bool:
        """Whether the module is not the output layer; that it is linear its tensors show."""
        return module.text.rpartition(".")[2] not in _OUTPUTS


@dataclass(frozen=True, slots=True)
class _Layers:
    """The numbers of layers, found in a path behind the name of a list; without names behind any name."""

    numbers: frozenset[int]
    lists: tuple[str, ...]

    def holds(self, module: ModulePath) -> bool:
        """Whether the first number that can be a layer's is one of these."""
        parts = module.text.split(".")
        for name in self.lists or (None,):
            # PEFT wants something before a list without a name, and something behind the number.
            for place in range(1 if name is None else 0, len(parts) - 2):
                if name in (None, parts[place]) and parts[place + 1].isdecimal():
                    return int(parts[place + 1]) in self.numbers
        return False


@dataclass(frozen=True, slots=True)
class Selection:
    """The fields that choose modules; `written` holds them as they are published, lists sorted."""

    written: Mapping[str, JSON]
    targets: _Choice = field(compare=False)
    excluded: _Choice | None = field(compare=False)
    layers: _Layers | None = field(compare=False)

    def rejects(self, module: ModulePath) -> str | None:
        """The field that keeps PEFT from adapting the module, or None when PEFT adapts it.

        Raises MalformedFile when a pattern takes too long, UnsupportedAdapter where PEFT's rule depends on
        the other modules of the base.
        """
        if self.excluded is not None and self.excluded.holds(module):
            return "exclude_modules"
        if not self.targets.holds(module):
            return "target_modules"
        if self.layers is None or self._is_named_whole(module) or self.layers.holds(module):
            return None
        return "layers_to_transform"

    def _is_named_whole(self, module: ModulePath) -> bool:
        """Whether target_modules holds the whole path, to which PEFT does not apply the layers."""
        if not isinstance(self.targets, _Names) or module.text not in self.targets.names:
            return False
        if len(self.targets.names) >= _PEFT_SHORTENS_FROM:
            raise UnsupportedAdapter(
                f"{_FILE} restricts whole paths in target_modules, such as {module.text}, by "
                "layers_to_transform, which PEFT reads in two ways; leave layers_to_transform out",
                field="layers_to_transform",
            )
        return True


def read_selection(fields: Mapping[str, JSON], work: Work | None = None) -> Selection:
    """What a configuration's fields choose; `work` is shared by all patterns of an adapter.

    Raises MalformedFile or UnsupportedAdapter.
    """
    work = work or Work()
    targets = fields.get("target_modules")
    layers = fields.get("layers_to_transform")
    lists = fields.get("layers_pattern")
    if isinstance(targets, str):
        _refuse_layers_beside_a_pattern(layers, lists)
    if lists and layers is None:
        raise _malformed("layers_pattern", lists, "PEFT wants layers_to_transform beside it")
    written = {name: _sorted(name, fields[name]) for name in _FIELDS if fields.get(name) not in _NOTHING}
    if "target_modules" not in written:
        raise _malformed(
            "target_modules", targets, "nothing would be adapted; name the modules that were trained"
        )
    excluded = written.get("exclude_modules")
    return Selection(
        written,
        _targets(written["target_modules"], work),
        None if excluded is None else _choice("exclude_modules", excluded, work),
        _layers(written.get("layers_to_transform"), written.get("layers_pattern")),
    )


_FIELDS = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
_NOTHING: tuple[JSON, ...] = (None, "", [])


def _refuse_layers_beside_a_pattern(layers: JSON, lists: JSON) -> None:
    for name, value in (("layers_to_transform", layers), ("layers_pattern", lists)):
        if value is not None:
            raise _malformed(name, value, "PEFT refuses it where target_modules is text; write it as a list")


def _targets(value: JSON, work: Work) -> _Choice:
    if isinstance(value, str) and value.lower() == _EVERY_LINEAR:
        return _EveryLinear()
    if value == "dummy-target-modules":
        raise _malformed("target_modules", value, "PEFT adapts nothing then; name the modules")
    return _choice("target_modules", value, work)


def _choice(name: str, value: JSON, work: Work) -> _Choice:
    if not isinstance(value, str):
        assert isinstance(value, Sequence)
        return _Names(frozenset(map(str, value)))
    if len(value) > _MAX_PATTERN_LENGTH:
        raise _malformed(name, value, f"it has {len(value)} characters; up to {_MAX_PATTERN_LENGTH} are read")
    try:
        return _Expression(name, PathPattern(value, work))
    except PatternError as error:
        raise _malformed(name, value, f"{error}; write the modules as a list") from error


def _layers(value: JSON, lists: JSON) -> _Layers | None:
    if value is None:
        return None
    numbers = [value] if isinstance(value, int) else value
    names = [lists] if isinstance(lists, str) else lists or []
    assert isinstance(numbers, Sequence) and isinstance(names, Sequence)
    if len(names) > _MAX_LISTS:
        raise UnsupportedAdapter(
            f"{_FILE} names {len(names)} lists of layers in layers_pattern; up to {_MAX_LISTS} are read",
            field="layers_pattern",
        )
    for name in names:
        if not str(name).isidentifier() or not str(name).isascii():
            raise UnsupportedAdapter(
                f"{_FILE} sets layers_pattern to {str(name)[:120]!a}; names of lists of layers are read, "
                "such as layers, not patterns",
                field="layers_pattern",
            )
    return _Layers(frozenset(int(str(number)) for number in numbers), tuple(map(str, names)))


def _sorted(name: str, value: JSON) -> JSON:
    """A list sorted, as PEFT writes a set in a new order on every save."""
    kind: type[int] | type[str] = int if name == "layers_to_transform" else str
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        wanted = "a number or a list of numbers" if kind is int else "text or a list of texts"
        raise MalformedFile(f"{_FILE}: {name} is {_shown(value)}, not {wanted}", field=name)
    return sorted(value)


def _shown(value: JSON) -> str:
    return f"{kind_of(value)} ({str(value)[:80]!a})"


def _malformed(name: str, value: JSON, why: str) -> MalformedFile:
    return MalformedFile(f"{_FILE} sets {name} to {str(value)[:120]!a}: {why}", field=name)
