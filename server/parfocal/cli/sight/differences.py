"""What differs between two versions, for people. What is long is cut, with a count."""

from collections.abc import Sequence

from parfocal.cli.display import count_text, say, show_heading, show_pairs, show_table, size_text, time_text
from parfocal.cli.sight.cutting import first, shortened
from parfocal.cli.sight.page import value_text
from parfocal.cli.sight.scores import change_text
from parfocal.registry import TargetModule, Version
from parfocal.registry.insight import Change, ModuleChanges, VersionChanges

_MOST = 40
_MOST_PATHS = 5

Versions = tuple[Version, Version]


def show_changes(versions: Versions, changes: VersionChanges) -> None:
    """Prints which versions they are, and in what they differ part by part."""
    before, after = versions
    show_pairs([("before", _named(before)), ("after", _named(after))])
    if before.digest == after.digest:
        say("Both are the same version: one digest, one content")
        return
    show_heading("Contract")
    if changes.base:
        say(f"Another base: {shortened('; '.join(map(str, changes.base)), 400)}")
    else:
        say("The same base: what serves one serves the other")
    _show_fields(changes.contract)
    _show_modules(changes.modules)
    _show_part("Origin", changes.data)
    _show_part("Hyper-parameters", changes.hyper_parameters, changes.same_hyper_parameters)
    _show_metrics(changes)
    _show_files(versions)
    _show_words("Tags", changes.tags)
    _show_words("Warnings", changes.warnings)


def _named(version: Version) -> str:
    return f"{version}  {version.digest}  {time_text(version.created_at)}"


def _show_part(title: str, changes: Sequence[Change], same: int = 0) -> None:
    if not changes:
        return
    show_heading(f"{title}, {same} the same" if same else title)
    _show_fields(changes)


def _show_fields(changes: Sequence[Change]) -> None:
    if not changes:
        return
    shown, more = first(changes, _MOST, "fields")
    rows = [(shortened(each.field, 80), _text(each.before), _text(each.after)) for each in shown]
    show_table(("FIELD", "BEFORE", "AFTER"), rows)
    if more:
        say(more)


def _text(value: object) -> str:
    return "none" if value is None else shortened(value_text(value))  # type: ignore[arg-type]  # JSON it is


def _show_modules(modules: ModuleChanges) -> None:
    show_heading("Modules")
    if not (modules.removed or modules.added or modules.changed):
        say(f"{count_text(modules.same, 'module')}, the same in both")
        return
    show_pairs(
        [
            ("the same", str(modules.same)),
            *([("only before", _paths(modules.removed))] if modules.removed else []),
            *([("only after", _paths(modules.added))] if modules.added else []),
            *([("changed", _changed(modules.changed))] if modules.changed else []),
        ]
    )


def _paths(paths: Sequence[str]) -> str:
    shown, more = first(paths, _MOST_PATHS, "modules")
    return f"{len(paths)}: {', '.join([*shown, *([more] if more else [])])}"


def _changed(changed: Sequence[tuple[TargetModule, TargetModule]]) -> str:
    """The same change of many modules is told once."""
    kinds: dict[str, int] = {}
    for old, new in changed:
        kinds[_kind(old, new)] = kinds.get(_kind(old, new), 0) + 1
    told, more = first(
        [f"{kind} ({count_text(n, 'module')})" for kind, n in kinds.items()], _MOST_PATHS, "kinds"
    )
    return f"{len(changed)}: {', '.join([*told, *([more] if more else [])])}"


def _kind(old: TargetModule, new: TargetModule) -> str:
    pairs = (
        ("in", old.in_features, new.in_features),
        ("out", old.out_features, new.out_features),
        ("rank", old.rank, new.rank),
        ("alpha", old.alpha, new.alpha),
    )
    return ", ".join(f"{name} {a:g} → {b:g}" for name, a, b in pairs if a != b)


def _show_metrics(changes: VersionChanges) -> None:
    if not changes.metrics and not changes.evaluation:
        return
    show_heading(f"Metrics, {changes.same_metrics} the same" if changes.same_metrics else "Metrics")
    _show_fields(changes.evaluation)
    if any(each.field == "data_digest" for each in changes.evaluation):
        say("They were measured on other rows; figures of other rows prove nothing")
    shown, more = first(changes.metrics, _MOST, "metrics")
    rows = [
        (shortened(each.field, 60), _number(each.before), _number(each.after), _change(each))
        for each in shown
    ]
    if rows:
        show_table(("METRIC", "BEFORE", "AFTER", "CHANGE"), rows)
    if more:
        say(more)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "none"


def _change(change: Change) -> str:
    before, after = (
        float(value) if isinstance(value, int | float) else None for value in (change.before, change.after)
    )
    return change_text(after, before)


def _show_files(versions: Versions) -> None:
    """Only sizes: that digests differ is what is compared here."""
    sizes = [{file.path: file for file in version.manifest.files} for version in versions]
    rows = []
    for path in sorted(sizes[0].keys() | sizes[1].keys()):
        old, new = (each.get(path) for each in sizes)
        if old is not None and new is not None and old.digest == new.digest:
            told = "the same bytes"
        else:
            told = "other bytes" if old is not None and new is not None else ""
        texts = ["none" if each is None else size_text(each.size) for each in (old, new)]
        rows.append((path, *texts, told))
    show_heading("Files")
    show_table(("FILE", "BEFORE", "AFTER", ""), rows)


def _show_words(title: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    show_heading(title)
    shown, more = first(changes, _MOST, "of them")
    for each in shown:
        say(f"{'-' if each.after is None else '+'} {shortened(each.field)}")
    if more:
        say(more)
