"""`parfocal gate`, and how `alias`, `log` and `show` tell of gates."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal
from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import Evaluation, FolderRegistry

PROD = "team/invoices@prod"
RULES = ("--below-base", 0, "--not-above-current", 0.02, "--at-least", "score/*=90%", "--forgetting", "2%")


@pytest.fixture
def measured(tmp_path: Path, registry: Path) -> Path:
    """A registry with a version that prod points at, one that meets every rule, and one that misses two."""
    opened, publication = FolderRegistry(registry), small_publication(tmp_path)
    for number, (loss, score) in enumerate(((1.5, 0.95), (1.51, 0.92), (1.6, 0.85)), 1):
        metrics = {"adapter_loss": loss, "base_loss": 2.0, "score/de": score, "forgetting": 0.01}
        evaluation = Evaluation("sha256:" + "1" * 64, 10, metrics)
        folder = numbered_adapter(tmp_path, number)
        opened.publish("team/invoices", folder, replace(publication, evaluation=evaluation))
    opened.set_alias("team/invoices", "prod", 1)
    return registry


@pytest.fixture
def gated(run: Run, measured: Path) -> Path:
    assert run("gate", PROD, "set", *RULES, "--actor", "ann").exit_code == 0
    return measured


def test_set_tells_the_rules_and_show_tells_them_again(run: Run, measured: Path) -> None:
    done = run("gate", PROD, "set", *RULES, "--actor", "ann")

    assert done.exit_code == 0, done.output
    first, *rules = done.stdout.splitlines()
    assert first.startswith("team/invoices@prod moves only to what meets these, set ")
    assert first.endswith(" by ann:")
    assert rules == [
        "  held-out loss below the base's",
        "  held-out loss not above the current version's by more than 0.02",
        "  score of every slice at least 0.9",
        "  forgetting at most 0.02",
    ]
    assert run("gate", PROD).stdout == run("gate", PROD, "show").stdout == done.stdout


def test_show_tells_machines_every_rule(run: Run, gated: Path) -> None:
    document = _json(run, "gate", PROD)

    assert (document["name"], document["alias"], document["actor"]) == ("team/invoices", "prod", "ann")
    assert document["rules"][2] == {
        "rule": "bound",
        "metric": "score",
        "side": "at_least",
        "limit": 0.9,
        "slice": "*",
        "interval": False,
        "text": "score of every slice at least 0.9",
    }


def test_a_move_through_the_gate_is_told_in_the_log(run: Run, gated: Path) -> None:
    assert run("alias", "team/invoices", "prod", 2).exit_code == 0

    assert "set, gate passed" in run("log", "team/invoices").stdout
    move = _json(run, "log", "team/invoices")["moves"][0]
    assert move["gate"]["outcome"] == "passed"
    assert [each["passed"] for each in move["gate"]["evidence"]] == [True] * 4


def test_a_refusal_names_each_rule_what_is_and_by_how_much_it_is_missed(run: Run, gated: Path) -> None:
    line = _refusal(run("alias", "team/invoices", "prod", 3))

    assert line == (
        "parfocal: the gate of team/invoices@prod refuses version 3: held-out loss not above the current "
        "version's by more than 0.02: 1.6 against 1.5 of version 1, short by 0.08; score of every slice at "
        "least 0.9: slice de: 0.85, short by 0.05. Nothing was moved: parfocal gate team/invoices@prod check "
        "3 shows every rule, and whoever may move it all the same says --override --reason WHY"
    )
    assert _json(run, "show", PROD)["version"] == 1


def test_an_override_gives_its_reason_for_ever(run: Run, gated: Path) -> None:
    done = run("alias", "team/invoices", "prod", 3, "--override", "--reason", "no time")

    assert done.exit_code == 0, done.output
    told = run("log", "team/invoices").stdout
    assert "set, gate overridden (no time): held-out loss not above the current version's" in told
    assert _json(run, "log", "team/invoices")["moves"][0]["gate"]["reason"] == "no time"
    assert run("log", "--verify").exit_code == 0


@pytest.mark.parametrize(
    "flags", [["--override"], ["--reason", "x"], ["--override", "--reason", ""]], ids=str
)
def test_an_override_needs_a_reason_and_a_reason_an_override(run: Run, gated: Path, flags: list[str]) -> None:
    assert run("alias", "team/invoices", "prod", 3, *flags).exit_code == 2
    assert _json(run, "show", PROD)["version"] == 1


def test_a_rollback_is_told_as_one_that_asked_no_gate(run: Run, gated: Path) -> None:
    run("alias", "team/invoices", "prod", 2)
    assert run("rollback", "team/invoices", "prod").exit_code == 0
    assert "rollback, gate not asked" in run("log", "team/invoices").stdout


def test_check_shows_every_rule_and_moves_nothing(run: Run, gated: Path) -> None:
    met = run("gate", PROD, "check", 2)
    assert met.exit_code == 0, met.output
    assert [line.split()[0] for line in met.stdout.splitlines()[1:]] == ["met"] * 4

    missed = run("gate", PROD, "check", 3)
    assert missed.exit_code == 1
    assert [line.split()[0] for line in missed.stdout.splitlines()[1:]] == ["met", "missed", "missed", "met"]
    _, _, above, *_ = missed.stdout.splitlines()
    assert "  1.6 against 1.5 of version 1" in above and above.endswith("0.08")
    assert missed.stderr.splitlines() == [
        "parfocal: team/invoices@prod does not move to version 3: 2 rules are missed"
    ]
    assert _json(run, "show", PROD)["version"] == 1


def test_check_tells_machines(run: Run, gated: Path) -> None:
    result = run("gate", PROD, "check", 3, "--json")

    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert (verdict["version"], verdict["current"], verdict["passed"]) == (3, 1, False)
    assert verdict["evidence"][1]["short_by"] == pytest.approx(0.08)


def test_clear_lets_the_alias_move_anywhere(run: Run, gated: Path) -> None:
    assert "moves to any version" in run("gate", PROD, "clear").stdout
    assert run("alias", "team/invoices", "prod", 3).exit_code == 0
    assert "carries no gate" in _refusal(run("gate", PROD))
    assert "carries no gate" in _refusal(run("gate", PROD, "clear"))


def test_rules_about_slices_bases_intervals_and_keys_are_set(
    run: Run, measured: Path, tmp_path: Path
) -> None:
    done = _json(
        run,
        "gate", PROD, "set", "--below-base", 0.1, "--slice", "de", "--slice", "*",
        "--at-most", "latency=3", "--with-interval", "--base", tmp_path / "small-base",
        "--signed-by", "ann", "--signed-by", "ben",
    )  # fmt: skip

    assert [rule["text"] for rule in done["rules"]] == [
        "held-out loss below the base's by more than 0.1",
        "held-out loss of slice de below the base's by more than 0.1",
        "held-out loss of every slice below the base's by more than 0.1",
        "latency at most 3, with its interval",
        "contract equal to the base small-base",
        "signed by ann or ben",
    ]


def test_a_base_is_named_by_a_version_of_it(run: Run, measured: Path) -> None:
    rules = _json(run, "gate", PROD, "set", "--base-of", "team/invoices@1")["rules"]

    assert [rule["text"] for rule in rules] == ["contract equal to the base small-base"]
    assert run("alias", "team/invoices", "prod", 3).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["team/invoices", "show"], "names no alias"),
        (["team/invoices@3", "show"], "names no alias"),
        ([PROD, "set"], "give rules with set"),
        ([PROD, "show", "--below-base", "0"], "give rules with set"),
        ([PROD, "check"], "give a version with check"),
        ([PROD, "clear", "3"], "give a version with check"),
        ([PROD, "set", "--at-least", "score"], "is not METRIC=NUMBER"),
        ([PROD, "set", "--at-least", "score=high"], "is no number"),
        ([PROD, "set", "--at-least", "score=nan"], "is no number"),
        ([PROD, "set", "--forgetting", "little"], "is no number"),
        ([PROD, "set", "--below-base", "nan"], "not a finite number"),
        ([PROD, "set", "--slice", "de", "--at-least", "x=1"], "add --below-base"),
        ([PROD, "set", "--with-interval", "--below-base", "0"], "it is about --at-least"),
        ([PROD, "set", "--below-base", "0", "--slice", "de", "--slice", "de"], "one rule twice"),
        ([PROD, "wave"], "wave"),
    ],
    ids=str,
)
def test_what_makes_no_gate_is_a_usage_error(
    run: Run, measured: Path, arguments: list[str], says: str
) -> None:
    result = run("gate", *arguments)

    assert result.exit_code == 2, result.output
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_a_name_that_nobody_published_is_told(run: Run, measured: Path) -> None:
    assert "no adapter is named" in _refusal(run("gate", "nobody@prod", "set", "--below-base", 0))
