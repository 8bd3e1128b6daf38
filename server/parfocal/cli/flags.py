"""Commands whose flags come from a table that mirrors a configuration's fields. Knows no command."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

FlagValue = str | int | float | bool | Path | list[str] | None
Given = Mapping[str, FlagValue]

_METAVARS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH", list: "TEXT"}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `has_opposite` gives a switch its `--no-…`; `least` is the smallest number it takes;
    `typed` is how it is typed where that is not its name; `is_argument`: it stands by itself.

    A flag that is not given is left out, so that the configuration's own default counts.
    """

    name: str
    kind: type
    help: str
    metavar: str | None = None
    variable: str | None = None
    has_opposite: bool = True
    short: str | None = None
    least: float | None = None
    typed: str | None = None
    is_argument: bool = False

    @property
    def text(self) -> str:
        """The flag as it is typed."""
        return self.typed or f"--{self.name.replace('_', '-')}"

    def parameter(self) -> inspect.Parameter:
        """The parameter that makes Typer offer the flag."""
        kind = list[str] if self.kind is list else self.kind
        how = self._argument() if self.is_argument else self._option()
        annotation = Annotated[kind | None, how]  # type: ignore[valid-type]  # built for Typer, not for mypy
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
        )

    def _argument(self) -> Any:
        return typer.Argument(metavar=f"[{self.metavar}]", help=self.help, show_default=False)

    def _option(self) -> Any:
        is_pair = self.kind is bool and self.has_opposite
        names = [f"{self.text}/--no-{self.text[2:]}" if is_pair else self.text]
        metavar = None if self.kind is bool else self.metavar or _METAVARS[self.kind]
        return typer.Option(
            *names,
            *([self.short] if self.short else []),
            metavar=metavar,
            envvar=self.variable,
            help=self.help,
            show_default=False,
            min=self.least,
        )


def check_number(value: object, flag: str, bits: int = 64) -> None:
    """Raises BadParameter for a whole number that does not fit `bits`."""
    if isinstance(value, int) and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise typer.BadParameter(f"the number is beyond {2 ** (bits - 1) - 1}", param_hint=flag)


def command(name: str, doc: str, flags: Sequence[Flag], run: Callable[[Given], None]) -> Callable[..., None]:
    """A Typer command that calls `run` with the flags that were given."""

    def called(**flags: FlagValue) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        for name, value in given.items():
            check_number(value, f"--{name.replace('_', '-')}")
        run(given)

    parameters = [flag.parameter() for flag in flags]
    called.__name__, called.__doc__ = name, doc
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(called)["__signature__"] = inspect.Signature(parameters)
    return called
