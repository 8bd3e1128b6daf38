"""What is searched: for each setting the values that it may have, as ranges or choices. Knows no optuna."""

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any, TypeAlias

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.settings import Kind, kinds

# Settings that leave rows and loss as they are: trials that differ in others could not be compared.
SEARCHED = (
    "learning_rate", "rank", "alpha", "rslora", "dropout", "targets", "init", "schedule", "warmup_steps",
    "epochs", "steps", "patience", "batch_size", "micro_batch",
)  # fmt: skip
_RANGE_KEYS = ("low", "high", "log")
_LOGARITHMIC = ("learning_rate",)
_DIGITS = 3  # of a number that is drawn: more would only be hard to read
_RATE_FACTOR = 4.0  # below and above the rate that the base's size tells: the rule is that exact
_RATE_LIMIT = 2e-2
_RANKS = (8, 16, 32)
_TRIED = 4096  # combinations that are checked before anything is trained

Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`; `log`: drawn evenly by their logarithm; `whole`: whole numbers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def holds(self, value: object) -> bool:
        """Whether `value` lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        """The smallest and the largest value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def read(self, drawn: float) -> Any:
        """A number that was drawn, as the run gets it."""
        if self.whole:
            return int(drawn)
        return min(self.high, max(self.low, float(f"{drawn:.{_DIGITS}g}")))

    def to_json(self) -> JSON:
        """As a settings file has it."""
        low, high = self.ends()
        return {"low": low, "high": high, "log": self.log}

    def __str__(self) -> str:
        low, high = self.ends()
        return f"{low:g} to {high:g}{', by its logarithm' if self.log else ''}"


@dataclass(frozen=True, slots=True)
class Choices:
    """Some values, none of which is nearer to another."""

    values: tuple[Any, ...]

    def holds(self, value: object) -> bool:
        """Whether `value` is one of them."""
        return value in self.values

    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def to_json(self) -> JSON:
        """As a settings file has it."""
        return [list(each) if isinstance(each, tuple) else each for each in self.values]

    def __str__(self) -> str:
        return ", ".join(shown(each) for each in self.values)


Space: TypeAlias = Mapping[str, Range | Choices]


def shown(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, tuple | list):
        return "+".join(map(str, value)) or "all"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def words(settings: Values) -> str:
    """Settings in one line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in settings.items())


def read_dimension(name: str, value: object, source: str) -> Range | Choices:
    """What `source` says of the setting `name`: a list of choices, or { low, high, log }.

    Raises:
        InvalidConfig: the setting cannot be searched, or a value cannot be one of it.
    """
    kind = _searched(name, source)
    if isinstance(value, list | tuple):
        return Choices(_different([kind.accept(each, source) for each in value], name, source))
    if isinstance(value, Mapping) and kind.kind in (int, float):
        return _range(kind, value, source)
    raise InvalidConfig(
        f"{source} searches {name} in {value!r}; give choices, such as [8, 16]"
        + (", or a range, such as { low = 1, high = 9 }" if kind.kind in (int, float) else ""),
        field=name,
    )


def read_pair(text: str, source: str) -> tuple[str, Range | Choices]:
    """A setting and its values from KEY=A,B,C or KEY=LOW..HIGH; raises InvalidConfig."""
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not values.strip():
        raise InvalidConfig(
            f"{source} {text!r} is neither KEY=A,B,C nor KEY=LOW..HIGH, such as rank=8,16 or "
            "learning_rate=1e-4..1e-2",
            field=name,
        )
    kind = _searched(name, source)
    low, dots, high = values.partition("..")
    if dots and kind.kind in (int, float):
        ends = {"low": kind.parse(low, source), "high": kind.parse(high, source)}
        return name, read_dimension(name, ends, source)
    if kind.kind is list or values.lstrip().startswith("["):
        try:
            return name, read_dimension(name, tomllib.loads(f"value = {values}")["value"], source)
        except tomllib.TOMLDecodeError as error:
            raise InvalidConfig(
                f'{source} {text!r} is no list of lists, such as {name}=[["q_proj"], []]', field=name
            ) from error
    return name, read_dimension(name, [kind.parse(each, source) for each in values.split(",")], source)


def default_space(config: TrainConfig, chosen: Hyperparameters, fixed: frozenset[str]) -> Space:
    """What matters most, unless it is `fixed`: the learning rate around the base's usual one, and the rank.

    Raises:
        InvalidConfig: both are fixed, so that nothing is left to search.
    """
    usual = chosen.learning_rate
    rates = Range(
        float(f"{usual / _RATE_FACTOR:.2g}"), min(_RATE_LIMIT, float(f"{usual * _RATE_FACTOR:.2g}")), log=True
    )
    found: dict[str, Range | Choices] = {"learning_rate": rates, "rank": Choices(_RANKS)}
    space = {name: values for name, values in found.items() if name not in fixed}
    if config.parent is not None:
        space.pop("rank", None)  # the parent's decides
    if not space:
        raise InvalidConfig(
            "learning_rate and rank are given, and nothing else is searched by default; leave one out, or "
            "say what to search with --search or in [tune]",
            field="search",
        )
    return space


def check_space(config: TrainConfig, space: Space) -> None:
    """Refuses values that a run would refuse, alone or together, before anything is trained.

    Raises:
        InvalidConfig: naming the setting and the value, or the combination.
    """
    for name, dimension in space.items():
        for value in dimension.ends():
            _check_one(config, name, value)
    for values in islice(product(*(each.ends() for each in space.values())), _TRIED):
        together = dict(zip(space, values, strict=True))
        try:
            replace(config, **together).check()
        except InvalidConfig as error:
            raise InvalidConfig(
                f"searching {words(together)} together: {error}", field=error.field
            ) from error


def start_of(config: TrainConfig, chosen: Hyperparameters, space: Space) -> dict[str, Any]:
    """Where the search begins: what `parfocal train` would choose, as far as the space has it.

    Raises:
        InvalidConfig: a value that was given lies outside of what is to be searched.
    """
    found = {}
    for name, dimension in space.items():
        given = getattr(config, name)
        value = getattr(chosen, name, given) if given is None else given
        if dimension.holds(value):
            found[name] = value
        elif given is not None and given != _default(name):
            raise InvalidConfig(
                f"{name} is {shown(given)}, outside of what is searched ({dimension}); the given value is "
                "where the search begins: leave one out",
                field=name,
            )
    return found


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of choices, the last setting changing fastest.

    Raises:
        InvalidConfig: a setting has a range, of which there is no end.
    """
    for name, dimension in space.items():
        if isinstance(dimension, Range):
            raise InvalidConfig(
                f"{name} is searched in a range, and a grid takes choices; list them, or use sampler tpe",
                field=name,
            )
    for values in product(*(each.ends() for each in space.values())):
        yield dict(zip(space, values, strict=True))


def _searched(name: str, source: str) -> Kind:
    if name in SEARCHED:
        return kinds()[name]
    nearest = difflib.get_close_matches(name, SEARCHED, n=1, cutoff=0.0)[0]
    known = name in kinds()
    changes = "which would change the rows or the loss that trials are compared by"
    why = changes if known else "no such setting"
    raise InvalidConfig(
        f"{source} searches {name}, {why}; the nearest that can be searched is {nearest}, of "
        f"{', '.join(SEARCHED)}",
        field=name,
    )


def _range(kind: Kind, value: Mapping[Any, Any], source: str) -> Range:
    unknown = [key for key in value if key not in _RANGE_KEYS]
    if unknown or not {"low", "high"} <= value.keys():
        raise InvalidConfig(
            f"{source} searches {kind.name} in a range with {', '.join(map(str, value)) or 'nothing'}; it "
            "has low and high, and perhaps log",
            field=kind.name,
        )
    low, high = (kind.accept(value[key], source) for key in ("low", "high"))
    log = value.get("log", kind.name in _LOGARITHMIC)
    if not isinstance(log, bool):
        raise InvalidConfig(
            f"{source} sets log of {kind.name} to {log!r}; use true or false", field=kind.name
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        above = " above 0" if log else ""
        raise InvalidConfig(
            f"{source} searches {kind.name} from {low:g} to {high:g}; low must be less than high{above}",
            field=kind.name,
        )
    return Range(low, high, log, kind.kind is int)


def _different(values: list[Any], name: str, source: str) -> tuple[Any, ...]:
    found = tuple(dict.fromkeys(values))
    if len(found) < len(values) or not values:
        what = "the same choice twice" if values else "no choice"
        raise InvalidConfig(f"{source} gives {name} {what}; list different values", field=name)
    return found


def _check_one(config: TrainConfig, name: str, value: Any) -> None:
    try:
        replace(config, **{name: value}).check()
    except InvalidConfig as error:
        if error.field in (name, None):
            raise InvalidConfig(f"searching {name}: {error}", field=name) from error


def _default(name: str) -> Any:
    return TrainConfig.__dataclass_fields__[name].default
