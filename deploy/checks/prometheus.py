"""Prometheus' configuration and rules, and that every alert is tried both ways."""

import yaml

from checks.check import DEPLOY, Found, faults, named, tool

FOLDER = DEPLOY / "prometheus"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def configuration_is_valid() -> Found:
    """promtool, over the configuration and the rules that it names."""
    promtool = tool("promtool")
    return faults([promtool, "check", "config", FOLDER / "prometheus.yml"]) + faults(
        [promtool, "check", "rules", "--lint-fatal", *RULES]
    )


def rules_pass_their_tests() -> Found:
    """promtool, over every case in tests/."""
    return faults([tool("promtool"), "test", "rules", *TESTS])


def every_alert_is_tried_both_ways() -> Found:
    """Each alert fires in a test, and is silent in the healthy case."""
    alerts = {
        rule["alert"]
        for path in RULES
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    fires: set[str] = set()
    silent: set[str] = set()
    for path in TESTS:
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            for test in case.get("alert_rule_test", ()):
                (fires if test.get("exp_alerts") else silent).add(test["alertname"])
    folder = named(FOLDER / "tests")
    return [
        *(f"{folder}: no test makes {name} fire" for name in sorted(alerts - fires)),
        *(f"{folder}: no test has {name} silent" for name in sorted(alerts - silent)),
        *(f"{folder}: there is no alert {name}" for name in sorted((fires | silent) - alerts)),
    ]
