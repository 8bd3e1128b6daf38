"""`parfocal diff`: two versions side by side."""

from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import say, show_json
from parfocal.cli.extras import ExtraMissing, absent
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.progress import spinner
from parfocal.cli.reach import registry_at
from parfocal.cli.sight.differences import show_changes
from parfocal.cli.sight.documents import changes_document, named
from parfocal.registry import AdapterRefused, DataLoss, Registry, Version
from parfocal.registry.insight import changes_between

if TYPE_CHECKING:  # numpy comes with it
    from parfocal.server.weights import Norms

_REFERENCE = "An adapter: name, name@3, name@prod or name@sha256:…"


def diff(
    before: Annotated[str, typer.Argument(metavar="REF", help=_REFERENCE)],
    after: Annotated[str, typer.Argument(metavar="REF", help="What it is compared with, written likewise.")],
    weights: Annotated[
        bool | None,
        typer.Option(
            "--weights/--no-weights",
            help="Compare the weights, which are fetched for it. Default: where numpy is installed.",
            show_default=False,
        ),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Show in what two versions differ.

    Their contracts, modules, data, hyper-parameters and metrics; and how large the change is that each makes
    to every layer, ||scale * B A||, with the norm of the difference.

    Example: parfocal diff team/invoices@prod team/invoices

    Example: parfocal diff team/invoices@2 team/invoices@3 --json | jq .weights.total
    """
    opened = registry_at(registry)
    versions = opened.resolve(before), opened.resolve(after)
    changes = changes_between(*(version.manifest for version in versions))
    document = {"before": named(versions[0]), "after": named(versions[1]), **changes_document(changes)}
    if not as_json:
        show_changes(versions, changes)
    try:
        norms, why_none = _norms(opened, versions, weights)
    except (AdapterRefused, DataLoss, OSError) as error:  # what the manifests say is worth its page
        if as_json:
            show_json({**document, "weights": None, "weights_missing": str(error)})
        raise
    if as_json:
        show_json({**document, "weights": _weights_document(norms), "weights_missing": why_none or None})
    elif norms is not None:
        from parfocal.cli.sight.norms import show_norms

        show_norms(norms)
    if why_none and weights is not False:
        say(f"warning: the weights are not compared: {why_none}", err=True)


def _norms(
    registry: Registry, versions: tuple[Version, Version], wanted: bool | None
) -> "tuple[Norms | None, str]":
    """The norms, or why there are none. Raises ExtraMissing where they are `wanted`; DataLoss and OSError."""
    if wanted is False:
        return None, "--no-weights"
    try:
        from parfocal.server.weights import compare, open_factors
    except ImportError as error:
        missing = absent(error)
        if missing is None:
            raise
        why = f"this needs {missing[0]}, not installed here: pip install 'parfocal[{missing[1]}]'"
        if wanted:
            raise ExtraMissing(f"parfocal diff --weights: {why}") from error
        return None, why
    folders = []
    for version in versions:
        with spinner(f"Fetching {version}"):
            folders.append(registry.materialise(version.digest))
    with (
        spinner("Comparing weights") as told,
        open_factors(versions[0], folders[0]) as old,
        open_factors(versions[1], folders[1]) as new,
    ):
        return compare(old, new, lambda done, all_: told(f"Comparing weights: {done} of {all_} modules")), ""


def _weights_document(norms: "Norms | None") -> dict[str, object] | None:
    if norms is None:
        return None
    from parfocal.cli.sight.norms import norms_document

    return norms_document(norms)
