"""`parfocal plan`: what `parfocal train` would do with the same settings, and what that would need."""

from collections.abc import Callable

from parfocal.cli.commands.train import FIELDS, SETTINGS, config_of
from parfocal.cli.display import say, show_json
from parfocal.cli.flags import Flag, Given, command

_DOC = """Show what training would do, why, and what it would need; nothing is trained.

Takes every setting of parfocal train. Shows what the checks found in the rows, each choice with its reason,
and an estimate of tokens, memory and time on this machine.

Example: parfocal plan --data invoices.jsonl --name team/invoices
"""
_MODES = (Flag("json", bool, "Print the plan as JSON.", has_opposite=False),)


def build_plan() -> Callable[..., None]:
    """The command, with one flag for each field of the configuration."""
    return command("plan", _DOC, (*FIELDS, *SETTINGS, *_MODES), _plan)


def _plan(given: Given) -> None:
    from parfocal.engine import quick_imports, quiet_libraries
    from parfocal.training import estimate_lines, estimated, plan

    planned = plan(config_of(given))
    if given.get("json"):
        with quiet_libraries(), quick_imports():
            estimate = estimated(planned)
        choices = [
            {"name": each.name, "value": each.value, "reason": each.reason}
            for each in planned.hyperparameters.choices
        ]
        report = planned.prepared.report.to_json()
        found = {"report": report, "choices": choices, "warnings": list(planned.warnings)}
        show_json({**found, "estimate": estimate and estimate.to_json()})
        return
    for line in (*planned.prepared.report.lines(), *planned.lines()):
        say(line)
    with quiet_libraries(), quick_imports():
        lines = list(estimate_lines(planned))
    for line in lines:
        say(line)
