"""`parfocal ls`: what a registry holds."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from parfocal.cli.canaries import held
from parfocal.cli.display import digest_text, show_json, show_table, size_text, time_text
from parfocal.cli.documents import adapter_document, version_document
from parfocal.cli.history import (
    ByOption,
    MetricsOption,
    SearchOption,
    SinceOption,
    TagsOption,
    UntilOption,
    conditions,
    span,
)
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.reach import registry_at
from parfocal.registry import (
    AdapterName,
    AdapterNotFound,
    AdapterSummary,
    Registry,
    Version,
    every_item,
)
from parfocal.registry.values import ALL_VERSIONS, VersionFilter, weight_text


def ls(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|NAMESPACE]", help="An adapter, for its versions; a namespace, for its adapters."
        ),
    ] = None,
    search: SearchOption = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="BASE", help="Only versions for this base.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option("--parent", metavar="REF", help="Only versions trained on from this one.")
    ] = None,
    tags: TagsOption = None,
    metrics: MetricsOption = None,
    alias: Annotated[
        str | None, typer.Option("--alias", metavar="ALIAS", help="Only versions that this points at.")
    ] = None,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """List adapters, or the versions of one, newest first.

    A word that is an adapter in no namespace means that adapter; with a slash, it means the namespace. Flags
    show only versions that meet all of them, and adapters that have one.

    Example: parfocal ls team/invoices

    Example: parfocal ls --base tiny --alias prod --since 7d

    Example: parfocal ls --search invoices --metric 'adapter_exact_match>=90%'
    """
    where = VersionFilter(
        base=base or "",
        parent=parent or "",
        alias=alias or "",
        actor=by or "",
        published=span(since, until),
        search=search or "",
        tags=tuple(tags or ()),
        metrics=conditions(metrics),
    )
    opened = registry_at(registry)
    if name is None:
        _show_adapters(_adapters(opened, where), as_json)
        return
    namespace, slash, rest = name.partition("/")
    if rest or (not slash and _is_adapter(opened, name)):
        _show_versions(opened, name, where, as_json)
        return
    found = [each for each in _adapters(opened, where) if AdapterName.parse(each.name).namespace == namespace]
    if not found and where == ALL_VERSIONS:
        what = "is not a namespace with adapters" if slash else "is neither an adapter nor a namespace"
        raise AdapterNotFound(f"{name!r} {what}; parfocal ls shows those that exist", adapter=name)
    _show_adapters(found, as_json)


def _is_adapter(registry: Registry, name: str) -> bool:
    try:
        registry.versions(name, page_size=1)
    except AdapterNotFound:
        return False
    return True


def _adapters(registry: Registry, where: VersionFilter) -> list[AdapterSummary]:
    return list(every_item(lambda token: registry.adapters(page_token=token, where=where)))


def _show_adapters(adapters: Sequence[AdapterSummary], as_json: bool) -> None:
    if as_json:
        show_json({"adapters": [adapter_document(adapter) for adapter in adapters]})
        return
    rows = [
        (
            adapter.name,
            str(adapter.latest_version or "none"),
            str(adapter.version_count),
            ", ".join(_pointing(adapter)),
            time_text(adapter.updated_at),
        )
        for adapter in adapters
    ]
    show_table(("ADAPTER", "LATEST", "VERSIONS", "ALIASES", "UPDATED"), rows)


def _pointing(adapter: AdapterSummary) -> Iterator[str]:
    """Where each alias points, and what its canary gets."""
    for alias, version in sorted(adapter.aliases.items()):
        canary = adapter.canaries.get(alias)
        also = "" if canary is None else f" ({weight_text(canary.weight)} {canary.version})"
        yield f"{alias}→{version}{also}"


def _show_versions(registry: Registry, name: str, where: VersionFilter, as_json: bool) -> None:
    versions = list(every_item(lambda token: registry.versions(name, page_token=token, where=where)))
    if as_json:
        show_json({"versions": [version_document(version) for version in versions]})
        return
    pointing = registry.aliases(name)
    asked = tuple(dict.fromkeys(condition.metric for condition in where.metrics))
    rows = [
        (
            str(version.version),
            digest_text(version.digest),
            ", ".join(held(alias, version.version) for alias in pointing if alias.holds(version.version)),
            *_content(version),
            *(_metric(version, metric) for metric in asked),
            time_text(version.created_at),
        )
        for version in versions
    ]
    show_table(("VERSION", "DIGEST", "ALIASES", "BASE", "SIZE", *asked, "PUBLISHED"), rows)


def _metric(version: Version, name: str) -> str:
    """A metric that was asked about; a registry elsewhere may send what does not have it."""
    evaluation = None if version.fault else version.manifest.evaluation
    value = None if evaluation is None else evaluation.metrics.get(name)
    return "unknown" if value is None else f"{value:.4g}"


def _content(version: Version) -> tuple[str, str]:
    """The base and the size, or that nobody can tell."""
    if version.fault:
        return "(its manifest cannot be read)", "unknown"
    return version.manifest.contract.base.id, size_text(version.manifest.size)
