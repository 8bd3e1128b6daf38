"""The flags that say a gate's rules, and the gate that they make. Knows no registry's storage."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from parfocal.registry import BaseContract, BaseUnreachable, InvalidGate, Registry, describe_base, locate_base
from parfocal.registry.gates import (
    BelowBase,
    Bound,
    Gate,
    NotAboveCurrent,
    Rule,
    SameBase,
    Side,
    SignedBy,
)

_FORGETTING = "forgetting"

BelowBaseOption = Annotated[
    float | None,
    typer.Option(
        "--below-base",
        metavar="MARGIN",
        help="Held-out loss below the base's by more than this; 0: below it at all.",
    ),
]
NotAboveCurrentOption = Annotated[
    float | None,
    typer.Option(
        "--not-above-current",
        metavar="MARGIN",
        help="Held-out loss at most this much above that of the version that the alias points at.",
    ),
]
SliceOption = Annotated[
    list[str] | None,
    typer.Option("--slice", metavar="SLICE", help="Both also on this slice of the rows; '*' is every slice."),
]
AtLeastOption = Annotated[
    list[str] | None,
    typer.Option(
        "--at-least",
        metavar="METRIC=NUMBER",
        help="A metric at this or above, as is the low end of its interval where it is recorded. "
        "METRIC/SLICE is that of a slice, METRIC/* that of every slice.",
    ),
]
AtMostOption = Annotated[
    list[str] | None,
    typer.Option("--at-most", metavar="METRIC=NUMBER", help="A metric at this or below, likewise."),
]
ForgettingOption = Annotated[
    str | None,
    typer.Option("--forgetting", metavar="SHARE", help="The metric forgetting at most this, such as 2%."),
]
WithIntervalOption = Annotated[
    bool,
    typer.Option("--with-interval", help="A metric whose interval is not recorded is not enough."),
]
SameBaseOption = Annotated[
    str | None,
    typer.Option("--base", metavar="BASE", help="Trained on this base: tiny, a folder or a Hub id."),
]
BaseOfOption = Annotated[
    str | None,
    typer.Option("--base-of", metavar="REF", help="Trained on the base of this version."),
]
SignedByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--signed-by",
        metavar="KEY",
        help="Signed by this key, by its name or whole id in parfocal trust ls; again: by one of them.",
    ),
]


@dataclass(frozen=True, slots=True)
class RuleFlags:
    """What was typed, each None or empty where it was not."""

    below_base: float | None = None
    not_above_current: float | None = None
    slices: Sequence[str] = ()
    at_least: Sequence[str] = ()
    at_most: Sequence[str] = ()
    forgetting: str | None = None
    with_interval: bool = False
    base: str | None = None
    base_of: str | None = None
    signed_by: Sequence[str] = ()

    @property
    def are_given(self) -> bool:
        """Whether any was typed."""
        return self != RuleFlags()


def gate_of(flags: RuleFlags, registry: Registry) -> Gate:
    """The gate that the flags ask for; raises BadParameter, or what finding a base raises."""
    if flags.slices and flags.below_base is None and flags.not_above_current is None:
        raise typer.BadParameter("add --below-base or --not-above-current", param_hint="--slice")
    if flags.with_interval and not (flags.at_least or flags.at_most or flags.forgetting):
        raise typer.BadParameter("it is about --at-least and --at-most", param_hint="--with-interval")
    try:
        return Gate(tuple(_rules(flags, registry)))
    except InvalidGate as error:
        raise typer.BadParameter(str(error), param_hint="set") from error


def number_in(text: str, flag: str) -> float:
    """A number as people write it, `0.02` or `2%`; raises BadParameter."""
    digits, is_percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        number = float(digits)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"{text[:40]!a} is no number; write 0.02 or 2%", param_hint=flag)
    return number / 100 if is_percent else number


def _rules(flags: RuleFlags, registry: Registry) -> Iterator[Rule]:
    for slice_name in ("", *flags.slices):
        if flags.below_base is not None:
            yield BelowBase(flags.below_base, slice_name)
        if flags.not_above_current is not None:
            yield NotAboveCurrent(flags.not_above_current, slice_name)
    for texts, side, flag in (
        (flags.at_least, Side.AT_LEAST, "--at-least"),
        (flags.at_most, Side.AT_MOST, "--at-most"),
    ):
        for text in texts:
            yield _bound(text, side, flag, flags.with_interval)
    if flags.forgetting is not None:
        limit = number_in(flags.forgetting, "--forgetting")
        yield Bound(_FORGETTING, Side.AT_MOST, limit, interval=flags.with_interval)
    if flags.base is not None:
        yield SameBase(_described(flags.base))
    if flags.base_of is not None:
        yield SameBase(registry.resolve(flags.base_of).manifest.contract.base)
    if flags.signed_by:
        yield SignedBy(tuple(flags.signed_by))


def _bound(text: str, side: Side, flag: str, interval: bool) -> Bound:
    name, equals, number = text.rpartition("=")
    if not equals or not name:
        raise typer.BadParameter(
            f"{text[:80]!a} is not METRIC=NUMBER, such as adapter_exact_match=0.9", param_hint=flag
        )
    return Bound.of(name, side, number_in(number, flag), interval=interval)


def _described(base: str) -> BaseContract:
    try:
        return describe_base(locate_base(base, weights=False))
    except BaseUnreachable as error:
        raise BaseUnreachable(
            f"{error}, or name a version that was trained on it with --base-of", field="base"
        ) from error
