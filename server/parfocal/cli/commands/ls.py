"""`parfocal ls`: what a registry holds."""

from typing import Annotated

import typer

from parfocal.cli.display import digest_text, show_json, show_table, size_text, time_text
from parfocal.cli.documents import adapter_document, version_document
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.registries import every
from parfocal.registry import open_registry


def ls(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="List this adapter's versions instead.")
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """List adapters, or the versions of one.

    Versions are listed the newest first.

    Example: parfocal ls team/invoices
    """
    if name is None:
        _adapters(registry, as_json)
    else:
        _versions(name, registry, as_json)


def _adapters(location: str, as_json: bool) -> None:
    registry = open_registry(location, create=False)
    adapters = list(every(lambda token: registry.adapters(page_token=token)))
    if as_json:
        show_json({"adapters": [adapter_document(adapter) for adapter in adapters]})
        return
    rows = [
        (
            adapter.name,
            str(adapter.latest_version or "none"),
            str(adapter.version_count),
            ", ".join(f"{alias}→{version}" for alias, version in sorted(adapter.aliases.items())),
            time_text(adapter.updated_at),
        )
        for adapter in adapters
    ]
    show_table(("ADAPTER", "LATEST", "VERSIONS", "ALIASES", "UPDATED"), rows)


def _versions(name: str, location: str, as_json: bool) -> None:
    registry = open_registry(location, create=False)
    versions = list(every(lambda token: registry.versions(name, page_token=token)))
    if as_json:
        show_json({"versions": [version_document(version) for version in versions]})
        return
    pointing = [(alias.version, alias.alias) for alias in registry.aliases(name)]
    rows = [
        (
            str(version.version),
            digest_text(version.digest),
            ", ".join(alias for number, alias in pointing if number == version.version),
            version.manifest.contract.base.id,
            size_text(version.manifest.size),
            time_text(version.created_at),
        )
        for version in versions
    ]
    show_table(("VERSION", "DIGEST", "ALIASES", "BASE", "SIZE", "PUBLISHED"), rows)
