"""`parfocal gate`: the rules that a version must meet before an alias moves to it."""

from enum import StrEnum
from typing import Annotated

import typer

from parfocal.cli.display import say, show_json, show_table, time_text
from parfocal.cli.gate_rules import (
    AtLeastOption,
    AtMostOption,
    BaseOfOption,
    BelowBaseOption,
    ForgettingOption,
    NotAboveCurrentOption,
    RuleFlags,
    SameBaseOption,
    SignedByOption,
    SliceOption,
    WithIntervalOption,
    gate_of,
)
from parfocal.cli.options import DEFAULT_REGISTRY, ActorOption, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import actor_or_me
from parfocal.registry import Reference, Registry, StandingGate, Verdict


class Action(StrEnum):
    """What to do with a gate."""

    SHOW = "show"
    SET = "set"
    CLEAR = "clear"
    CHECK = "check"


def gate(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@ALIAS", help="The alias, such as team/invoices@prod.")
    ],
    action: Annotated[
        Action, typer.Argument(metavar="show|set|clear|check", help="What to do with its gate.")
    ] = Action.SHOW,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", min=1, help="With check: the version to look at.")
    ] = None,
    below_base: BelowBaseOption = None,
    not_above_current: NotAboveCurrentOption = None,
    slices: SliceOption = None,
    at_least: AtLeastOption = None,
    at_most: AtMostOption = None,
    forgetting: ForgettingOption = None,
    with_interval: WithIntervalOption = False,
    base: SameBaseOption = None,
    base_of: BaseOfOption = None,
    signed_by: SignedByOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show, set or clear the rules that a version must meet before an alias moves to it, or check one.

    set takes all rules at once, in place of those there were. A rule reads the evaluation that was published
    with the version; what is not recorded meets no rule. check moves nothing, and exits with 1 where a rule
    is missed. A rollback asks no gate.

    Example: parfocal gate team/invoices@prod set --below-base 0 --not-above-current 0.02

    Example: parfocal gate team/invoices@prod check 3
    """
    # size: Typer takes every flag as a parameter
    name, alias = _named(reference)
    flags = RuleFlags(
        below_base,
        not_above_current,
        tuple(slices or ()),
        tuple(at_least or ()),
        tuple(at_most or ()),
        forgetting,
        with_interval,
        base,
        base_of,
        tuple(signed_by or ()),
    )
    if (version is None) == (action is Action.CHECK):
        raise typer.BadParameter("give a version with check, and only there", param_hint="VERSION")
    if flags.are_given != (action is Action.SET):
        raise typer.BadParameter("give rules with set, and only there", param_hint="set")
    opened = registry_at(registry)
    if version is not None:
        _check(opened.check_gate(name, alias, version), reference, as_json)
    elif action is Action.SET:
        _show(opened.set_gate(name, alias, gate_of(flags, opened), actor_or_me(actor)), as_json)
    elif action is Action.CLEAR:
        _clear(opened, name, alias, actor_or_me(actor), as_json)
    else:
        _show(opened.gate(name, alias), as_json)


def _named(reference: str) -> tuple[str, str]:
    """The adapter and the alias; raises BadParameter, InvalidName or InvalidReference."""
    wanted = Reference.parse(reference)
    if wanted.alias is None:
        raise typer.BadParameter(
            f"{reference[:100]!a} names no alias; write NAME@ALIAS, such as team/invoices@prod",
            param_hint="NAME@ALIAS",
        )
    return str(wanted.name), wanted.alias


def _show(standing: StandingGate, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "name": standing.name,
                "alias": standing.alias,
                "actor": standing.actor,
                "set_at": standing.set_at.isoformat().replace("+00:00", "Z"),
                "rules": [{**rule.to_json(), "text": str(rule)} for rule in standing.gate.rules],
            }
        )
        return
    who = f" by {standing.actor}" if standing.actor else ""
    name = f"{standing.name}@{standing.alias}"
    say(f"{name} moves only to what meets these, set {time_text(standing.set_at)}{who}:")
    for rule in standing.gate.rules:
        say(f"  {rule}")


def _clear(registry: Registry, name: str, alias: str, actor: str, as_json: bool) -> None:
    registry.clear_gate(name, alias, actor)
    if as_json:
        show_json({"name": name, "alias": alias, "rules": []})
    else:
        say(f"Cleared the gate of {name}@{alias}: it moves to any version")


def _check(verdict: Verdict, reference: str, as_json: bool) -> None:
    """Shows what each rule found, and ends with 1 where one is missed."""
    if as_json:
        show_json(verdict.to_json())
    else:
        rows = [
            (
                "met" if each.passed else "missed",
                each.rule,
                each.found,
                "" if each.short_by is None else f"{each.short_by:.6g}",
            )
            for each in verdict.evidence
        ]
        show_table(("", "RULE", "FOUND", "SHORT BY"), rows)
    if not verdict.passed:
        count = len(verdict.failed)
        missed = "1 rule is missed" if count == 1 else f"{count} rules are missed"
        say(f"parfocal: {reference} does not move to version {verdict.version}: {missed}", err=True)
        raise typer.Exit(1)
