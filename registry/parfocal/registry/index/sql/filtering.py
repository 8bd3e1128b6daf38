"""Conditions that a list's rows must meet, over the tables of what is known of each live version.

No manifest is read for a list. Adapters are found by name in the order of one index, so that a page costs no
more than a walk along it, however few or many versions meet the conditions.
"""

from collections.abc import Iterable, Mapping

from parfocal.registry.index.sql.rows import moment_text
from parfocal.registry.values import Comparison, MetricCondition, MoveFilter, Span, VersionFilter

Condition = tuple[str, tuple[object, ...]]

_SQL: Mapping[Comparison, str] = {
    Comparison.AT_LEAST: ">=",
    Comparison.AT_MOST: "<=",
    Comparison.ABOVE: ">",
    Comparison.BELOW: "<",
    Comparison.EQUAL: "=",
    Comparison.NOT: "<>",
}
_ANY = "%"
_ESCAPE = "!"


def of_versions(where: VersionFilter, table: str = "v") -> Condition:
    """What follows the conditions of a statement over versions, called `table` there."""
    facts = list(_facts(where))
    beside = [("facts", facts)] if facts else []
    beside += [("version_tags", [_tag(tag)]) for tag in where.tags]
    beside += [("version_metrics", [_metric(each)]) for each in where.metrics]
    if where.alias:
        beside.append(("aliases", [("alias = ?", (where.alias,))]))
    return _joined(_exists(name, conditions, table) for name, conditions in beside)


def names_of_such(where: VersionFilter) -> Condition:
    """A statement whose rows are names of adapters that have such a live version, sorted, each once.

    Its last two values, after those given here, are the name that they come after, and their greatest number.
    """
    rest, facts = where, list(_facts(where))
    if where.metrics:
        table, first, rest = (
            "version_metrics",
            [_metric(where.metrics[0])],
            where.but(metrics=where.metrics[1:]),
        )
    elif where.tags:
        table, first, rest = "version_tags", [_tag(where.tags[0])], where.but(tags=where.tags[1:])
    elif where.alias:
        table, first, rest = "aliases", [("alias = ?", (where.alias,))], where.but(alias="")
    else:
        table, first, rest = "facts", facts, VersionFilter()
    own = _joined([(f"d.{condition}", values) for condition, values in first])
    others, values = of_versions(rest, "d")
    such = f"FROM {table} d WHERE TRUE{own[0]}{others} AND d.name > ?"
    return f"SELECT DISTINCT d.name {such} ORDER BY d.name LIMIT ?", (*own[1], *values)


def of_moves(where: MoveFilter) -> Condition:
    """What follows the conditions of a statement over events."""
    actor = [("actor = ?", (where.actor,))] if where.actor else []
    return _joined([*actor, *_in(where.moved, "happened_at")])


def _facts(where: VersionFilter) -> Iterable[Condition]:
    for column, value in (("base", where.base), ("parent", where.parent), ("actor", where.actor)):
        if value:
            yield f"{column} = ?", (value,)
    for word in where.words:
        yield f"words LIKE ? ESCAPE '{_ESCAPE}'", (f"{_ANY}{_literal(word)}{_ANY}",)
    yield from _in(where.published, "published")


def _literal(word: str) -> str:
    for sign in (_ESCAPE, _ANY, "_"):
        word = word.replace(sign, _ESCAPE + sign)
    return word


def _tag(tag: str) -> Condition:
    return "tag = ?", (tag,)


def _metric(wanted: MetricCondition) -> Condition:
    return f"metric = ? AND value {_SQL[wanted.comparison]} ?", (wanted.metric, wanted.number)


def _exists(name: str, conditions: Iterable[Condition], table: str) -> Condition:
    text, values = _joined([(f"t.{condition}", each) for condition, each in conditions])
    same = f"t.name = {table}.name AND t.version = {table}.version"
    return f"EXISTS (SELECT 1 FROM {name} t WHERE {same}{text})", values


def _in(span: Span, column: str) -> Iterable[Condition]:
    if span.since is not None:
        yield f"{column} >= ?", (moment_text(span.since),)
    if span.until is not None:
        yield f"{column} < ?", (moment_text(span.until),)


def _joined(given: Iterable[Condition]) -> Condition:
    used = list(given)
    return (
        "".join(f" AND {condition}" for condition, _ in used),
        tuple(value for _, values in used for value in values),
    )
