"""The lineage of a version as lines: its ancestors from the root down, itself, its children."""

from collections.abc import Iterator

from parfocal.cli.sight.cutting import shortened
from parfocal.cli.sight.seen import Seen
from parfocal.registry import Version

_ROOTS, _NEAREST = 3, 8
_DEEPEST = 6
_MOST_CHILDREN = 20


def lineage_lines(seen: Seen) -> list[str]:
    """One line each, indented by generation; of many ancestors those in the middle are counted."""
    lines = [*_ancestors(seen), f"{seen.version}  this version"]
    depth = len(lines) - 1
    return [
        *map(_indented, range(len(lines)), lines),
        *(_indented(depth + 1, each) for each in _children(seen)),
    ]


def _ancestors(seen: Seen) -> Iterator[str]:
    if not seen.ancestors or seen.ancestors[-1].version is not None:
        yield f"{shortened(seen.version.manifest.contract.base.id)}  the base"
    oldest_first = seen.ancestors[::-1]
    between = len(oldest_first) - _ROOTS - _NEAREST
    for at, each in enumerate(oldest_first):
        if between > 1 and _ROOTS <= at < _ROOTS + between:
            if at == _ROOTS:
                yield f"… {between} generations between"
            continue
        name = shortened(each.written) if each.version is None else str(each.version)
        told = "" if each.version is None else f"  {_told(each.version)}"
        yield f"{name}{told}" + (f"  ({each.note})" if each.note else "")


def _children(seen: Seen) -> Iterator[str]:
    for child in seen.children.versions[:_MOST_CHILDREN]:
        yield f"{child}  {_told(child)}"
    if seen.children.has_more:
        yield f"… and more than these {_MOST_CHILDREN}: parfocal ls --parent {seen.version}"


def _told(version: Version) -> str:
    """When it was published, and its loss if that is recorded."""
    when = version.created_at.astimezone().strftime("%Y-%m-%d")
    if version.fault:
        return f"{when}  its manifest cannot be read"
    evaluation = version.manifest.evaluation
    loss = None if evaluation is None else evaluation.metrics.get("adapter_loss")
    return when if loss is None else f"{when}  loss {loss:.4g}"


def _indented(depth: int, line: str) -> str:
    return f"{'  ' * min(depth - 1, _DEEPEST)}└ {line}" if depth else line
