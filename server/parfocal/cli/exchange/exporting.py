"""`parfocal export`: writes a version in a form that other tools take. One form a call."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import count_text, say, show_json, size_text
from parfocal.cli.exchange.flags import (
    BaseOfFormOption,
    GgufLoraOption,
    MergedOption,
    PublicOption,
    ToHubOption,
    ToLayoutOption,
)
from parfocal.cli.exchange.written import Written
from parfocal.cli.extras import require
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.outputs import check_new, new_file, new_folder
from parfocal.cli.progress import bytes_progress, spinner
from parfocal.cli.reach import registry_at
from parfocal.registry import Registry, Version, locate_base
from parfocal.registry.signing import bundles_of

if TYPE_CHECKING:  # torch comes with it
    from parfocal.server.exports import Adapted

_FORMS = "--oci FOLDER, --hub REPO, --merged FOLDER or --gguf-lora FILE"


def export(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="The adapter: name, name@3, name@prod or name@sha256:…")
    ],
    oci: ToLayoutOption = None,
    hub: ToHubOption = None,
    merged: MergedOption = None,
    gguf_lora: GgufLoraOption = None,
    base: BaseOfFormOption = None,
    public: PublicOption = False,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Write a version in a form that other tools take.

    Every byte is verified on its way out. What is written appears whole or not at all, and never over
    something that is there; on the Hub it is one commit. Signatures go along with --oci and --hub. The folder
    that PEFT loads is what parfocal pull writes. --merged computes W + scale * B A in float32 and rounds once
    to what the base is stored as.

    Example: parfocal export team/invoices@prod --oci ./invoices-image
    """
    if sum(form is not None for form in (oci, hub, merged, gguf_lora)) != 1:
        raise typer.BadParameter(f"give one form: {_FORMS}", param_hint="export")
    opened = registry_at(registry)
    version = opened.resolve(reference)
    if oci is not None:
        written = _as_layout(opened, version, oci)
    elif hub is not None:
        written = _on_the_hub(opened, version, hub, public)
    elif merged is not None:
        written = _as_merged(opened, version, merged, base)
    else:
        assert gguf_lora is not None
        written = _as_gguf_lora(opened, version, gguf_lora, base)
    if as_json:
        show_json(written.document(version))
    else:
        say(f"{version} is {written.place}: {written.told}")
    for caution in written.cautions:
        say(f"warning: {caution}", err=True)


def _as_layout(registry: Registry, version: Version, target: Path) -> Written:
    from parfocal.registry.oci import write_layout

    check_new(target)
    source, bundles = _fetched(registry, version), _bundles(registry, version)
    with bytes_progress(f"Writing {target}") as progress, new_folder(target) as folder:
        image = write_layout(version, source, folder, progress, bundles)
    details = {"target": str(target), "image": image, "signatures": len(bundles)}
    return Written("oci", f"in {target}", f"image {image}{_signed(bundles)}", details)


def _on_the_hub(registry: Registry, version: Version, repo: str, public: bool) -> Written:
    from parfocal.registry.hub import HubReference, Pushing, push_version

    reference = HubReference.parse(repo)
    if reference is None or reference.revision is not None:
        raise typer.BadParameter(f"{repo[:80]!a} is no repository; write org/name", param_hint="--hub")
    source, bundles = _fetched(registry, version), _bundles(registry, version)
    with spinner(f"Pushing {version} to {reference}"):
        pushed = push_version(version, source, reference.repo, Pushing(public, bundles))
    details = {"target": str(pushed.reference), "url": pushed.url, "new_repository": pushed.is_new_repository}
    cautions = tuple(f"{name} was written anew there" for name in pushed.rewritten)
    told = f"{pushed.url}{_signed(bundles)}"
    return Written("hub", f"at {pushed.reference}", told, {**details, "signatures": len(bundles)}, cautions)


def _as_merged(registry: Registry, version: Version, target: Path, base: str | None) -> Written:
    require("serve", "export --merged")
    check_new(target)
    adapted = _adapted(registry, version, base, weights=True)
    from parfocal.server.exports import merge

    with bytes_progress(f"Merging into {adapted.base.id}") as progress, new_folder(target) as folder:
        done = merge(adapted, folder, progress)
    details = {"target": str(target), "weights": done.weights, "dtypes": done.dtypes, "bytes": done.bytes}
    told = f"{count_text(done.weights, 'weight')} changed of {size_text(done.bytes)}, in {_list(done.dtypes)}"
    return Written("merged", f"in {target}", told, details, adapted.cautions)


def _as_gguf_lora(registry: Registry, version: Version, target: Path, base: str | None) -> Written:
    require("gguf", "export --gguf-lora")
    check_new(target)
    adapted = _adapted(registry, version, base, weights=False)
    from parfocal.server.exports import write_gguf_lora

    with spinner(f"Writing {target}"), new_file(target) as file:
        done = write_gguf_lora(adapted, file)
    details = {
        "target": str(target),
        "architecture": done.architecture,
        "alpha": done.alpha,
        "rescaled_modules": done.rescaled,
    }
    told = f"{done.architecture}, alpha {done.alpha:g}, {size_text(target.stat().st_size)}"
    return Written("gguf-lora", f"in {target}", told, details, adapted.cautions)


def _adapted(registry: Registry, version: Version, base: str | None, weights: bool) -> "Adapted":
    """The version beside its base, whose weights are fetched where they are needed."""
    wanted = version.manifest.contract.base
    named = base or (f"{wanted.id}@{wanted.revision}" if wanted.revision else wanted.id)
    with spinner(f"Reading {named}"):
        files = locate_base(named, weights=weights)
    # Imported once the base is there: torch takes longer than a refusal.
    from parfocal.server.exports import adapted_base

    return adapted_base(version, _fetched(registry, version), files)


def _fetched(registry: Registry, version: Version) -> Path:
    with spinner(f"Fetching {version}"):
        return registry.materialise(version.digest)


def _bundles(registry: Registry, version: Version) -> tuple[bytes, ...]:
    return bundles_of(registry.signatures(version.name, version.version))


def _signed(bundles: tuple[bytes, ...]) -> str:
    return f", with {count_text(len(bundles), 'signature')}" if bundles else ""


def _list(names: tuple[str, ...]) -> str:
    return " and ".join(names)
