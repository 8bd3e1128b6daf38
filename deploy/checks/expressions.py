"""Every PromQL expression in deploy/: of rules, of dashboards; parsed, and held against a real scrape."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from checks.check import DEPLOY, Found, MissingTool, named
from checks.scrape import Scrape

DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
_VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
_LABEL_VALUES = re.compile(r"^label_values\((.+?),\s*\w+\)$")
# Labels that Prometheus adds to whatever it scrapes, here or in a cluster.
_OF_PROMETHEUS = {"job", "instance", "namespace", "pod", "service", "le", "__name__"}
_SCRAPED_BY_ITSELF = {"up"}


@dataclass(frozen=True, slots=True)
class Expression:
    """A PromQL expression and where it stands."""

    where: str
    text: str


def expressions() -> list[Expression]:
    """All of them, with Grafana's variables filled in."""
    return [*_of_rules(), *(each for path in DASHBOARDS for each in _of_dashboard(path))]


def expressions_parse() -> Found:
    """Prometheus' own grammar, by promql-parser."""
    parser, found = _parser(), []
    for each in expressions():
        try:
            parser.parse(each.text)
        except ValueError as error:
            found.append(f"{each.where}: {each.text}: {error}")
    return found


def unknown_names(scrape: Scrape) -> Found:
    """Metrics and labels that neither a server nor a recording rule has."""
    recorded = {
        rule["record"] for path in RULES for rule in _rules(path) if "record" in rule
    } | _SCRAPED_BY_ITSELF
    found = []
    for each in expressions():
        for metric, labels in _selected(each.text):
            if metric not in scrape.metrics and metric not in recorded:
                found.append(f"{each.where}: no server has the metric {metric}")
            elif metric in scrape.labels:
                missing = labels - scrape.labels[metric] - _OF_PROMETHEUS
                found += [f"{each.where}: {metric} has no label {label}" for label in sorted(missing)]
    return found


def _parser() -> Any:
    try:
        import promql_parser
    except ImportError as error:
        raise MissingTool("promql-parser") from error
    return promql_parser


def _selected(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of an expression, with the labels that are asked of it."""
    parser = _parser()
    selectors: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, parser.VectorSelector):
            selectors.append(node)

    parser.walk(parser.parse(text), visit)
    for selector in selectors:
        yield selector.name, {matcher.name for matcher in selector.matchers.matchers}


def _rules(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _of_rules() -> Iterator[Expression]:
    for path in RULES:
        for rule in _rules(path):
            yield Expression(f"{named(path)}: {rule.get('alert') or rule['record']}", rule["expr"])


def _of_dashboard(path: Path) -> Iterator[Expression]:
    board = json.loads(path.read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield Expression(f"{named(path)}: {panel['title']}", _filled(target["expr"]))
    for annotation in board["annotations"]["list"]:
        yield Expression(f"{named(path)}: {annotation['name']}", _filled(annotation["expr"]))
    for variable in board["templating"]["list"]:
        values = _LABEL_VALUES.match(variable.get("definition", ""))
        if values:
            yield Expression(f"{named(path)}: ${variable['name']}", _filled(values[1]))


def _filled(text: str) -> str:
    for name, value in _VARIABLES.items():
        text = text.replace(name, value)
    return text
