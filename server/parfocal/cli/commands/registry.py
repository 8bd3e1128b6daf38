"""`parfocal registry`: serves a registry, and maintains its storage, on its own machine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.display import count_text, say, show_json, show_table, size_text
from parfocal.cli.flags import Given, command
from parfocal.cli.history import (
    AgainstOption,
    VerifyOption,
    check_verifying,
    every_past_event,
    verify_log,
)
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.progress import bytes_progress
from parfocal.cli.reach import registry_at
from parfocal.cli.registries import registry_here
from parfocal.cli.serving import CONFIG, RefusalsIn, flag_of, settings_told, voice_of
from parfocal.registry import (
    BadBlob,
    NamespaceUse,
    StorageAddress,
    Verification,
    back_up,
    every_item,
    is_storage,
    rebuild_folder,
    rebuild_shared,
)
from parfocal.server import Resolved, ServeConfig, settings_of
from parfocal.server.settings import REGISTRY_SETTINGS

_SERVE_DOC = """Serve a registry to other machines, without a base.

Servers follow it with parfocal serve --registry grpc://host:port. With --http-address it also speaks the
protocol of the Hugging Face Hub: with HF_ENDPOINT=http://host:port its clients read and write here.
Its settings are those of parfocal serve with the same names, in the file, in variables and as flags. Unless
told otherwise it listens at 127.0.0.1:50061, and shows metrics at 127.0.0.1:9465. On SIGTERM, what is under
way finishes. It exits with 2 if its settings are refused, and with 1 for a failure that may pass.

Example: parfocal registry serve --registry /srv/adapters --grpc-address 127.0.0.1:50061
"""


_HTTP_ADDRESS = "Where the Hub's clients are answered over HTTP: host:port. Default: not at all."


def build_registry() -> typer.Typer:
    """The group with its subcommands."""
    group = typer.Typer(
        name="registry",
        help="Serve a registry, and look after its storage: usage, verify, back up, rebuild.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for each in (_serve_command(), usage, verify, log, backup, rebuild):
        group.command()(each)
    return group


def _serve_command() -> Callable[..., None]:
    known = {setting.name: setting for setting in settings_of(ServeConfig)}
    known["http_address"] = replace(known["http_address"], help=_HTTP_ADDRESS, default=None)
    return command(
        "serve", _SERVE_DOC, [CONFIG, *(flag_of(known[name]) for name in REGISTRY_SETTINGS)], _serve
    )


def _serve(given: Given) -> None:
    resolved = settings_told(given)
    with RefusalsIn(resolved.config.log_format):
        asyncio.run(_serve_until_terminated(resolved))


async def _serve_until_terminated(resolved: Resolved) -> None:
    from parfocal.server.registry_process import registry_config, running_registry

    config, tell = registry_config(resolved), voice_of(resolved.config)
    async with running_registry(config) as running:
        running.wire.terminate_on_signals()  # whoever is told that it serves may end it
        tell(f"Serving registry {config.registry} at {running.address}")
        if running.endpoint:
            tell(f"Answering the Hub's clients at {running.endpoint}")
        if running.metrics_port:
            host = config.metrics_address.rpartition(":")[0]
            tell(f"Metrics at http://{host}:{running.metrics_port}/metrics")
        await running.run_until_terminated()
    tell("Stopped")


def usage(registry: RegistryOption = DEFAULT_REGISTRY, as_json: JsonOption = False) -> None:
    """Show what each namespace holds, and the quota that its server gives it (registry serve --quotas).

    Versions that exist count, and of equal files in a namespace one. On a server with keys this needs the
    scope admin.

    Example: parfocal registry usage --registry grpc://registry.example.com:50061
    """
    opened = registry_at(registry)
    found = list(every_item(lambda token: opened.namespaces(page_token=token)))
    if as_json:
        show_json({"namespaces": [_namespace_document(held) for held in found]})
        return
    rows = [
        (
            held.namespace,
            str(held.adapters),
            _of(str(held.versions), held.quota.max_versions, str),
            _of(size_text(held.size_bytes), held.quota.max_bytes, size_text),
        )
        for held in found
    ]
    show_table(("NAMESPACE", "ADAPTERS", "VERSIONS", "SIZE"), rows)


def _of(held: str, most: int | None, shown: Callable[[int], str]) -> str:
    """What is held, of what may be."""
    return held if most is None else f"{held} of {shown(most)}"


def _namespace_document(held: NamespaceUse) -> dict[str, object]:
    return {
        "name": held.namespace,
        "adapters": held.adapters,
        "versions": held.versions,
        "bytes": held.size_bytes,
        "max_versions": held.quota.max_versions,
        "max_bytes": held.quota.max_bytes,
    }


def verify(registry: RegistryOption = DEFAULT_REGISTRY, as_json: JsonOption = False) -> None:
    """Read every byte of every version and compare it with its digest.

    Names each missing or corrupt file and the versions that need it, and then exits with 1.

    Example: parfocal registry verify
    """
    opened = registry_here(registry)
    with bytes_progress("Verifying") as progress:
        found = opened.verify(progress)
    if as_json:
        show_json(_verification_document(found))
    else:
        _tell(found)
    if not found.is_sound:
        say(
            f"parfocal: registry {registry} is not sound: publish these versions again, or restore a backup",
            err=True,
        )
        raise typer.Exit(1)


def log(
    verify: VerifyOption = False,
    against: AgainstOption = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Show everything that ever happened in a registry, oldest first; or prove it with --verify.

    Each event is sealed with the one before: --verify names what was changed, removed or put elsewhere, and
    then exits with 1.

    Example: parfocal registry log --verify
    """
    check_verifying(verify, against, None, False)
    opened = registry_at(registry)
    if verify:
        verify_log(opened, against, as_json)
        return
    events = list(every_past_event(opened))
    if as_json:
        show_json({"events": [event.to_json() for event in events]})
        return
    # Imported only here: a registry in a folder needs no gRPC.
    from parfocal.cli.following import event_line

    for event in events:
        say(event_line(event))


def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder for the copy.")],
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Copy a registry as it is at one moment, while others may go on using it.

    The copy is a registry: use it with --registry TARGET, or move it back to restore it.

    Example: parfocal registry backup /backups/adapters-monday
    """
    opened = registry_here(registry)
    with bytes_progress("Copying") as progress:
        copied = back_up(opened, target, progress)
    if as_json:
        bad = [_blob_document(blob) for blob in copied.bad]
        document = {"folder": str(target), "versions": copied.versions, "aliases": copied.aliases}
        kept = {"bad": bad, "unreadable": copied.unreadable}
        show_json({**document, "bytes": copied.size_bytes, **kept})
    else:
        size = size_text(copied.size_bytes)
        say(f"{_held(copied.versions, copied.aliases)} ({size}) are in {target}")
        _tell_bad(copied.bad)
        for version in copied.unreadable:
            say(f"copied as it is: {version}, whose manifest cannot be read")
    if copied.bad:
        say("parfocal: the copy lacks what is missing or corrupt in the registry itself", err=True)
        raise typer.Exit(1)


def rebuild(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="The registry's folder, or postgresql://…?blobs=… where it has no folder."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a lost or damaged index anew from the journal and the manifests beside it.

    What is replaced is kept beside the new index. Versions that no history names come back as recovered/….

    Example: parfocal registry rebuild ~/.local/share/parfocal/registry
    """
    if is_storage(folder):
        shared = rebuild_shared(StorageAddress.parse(folder))
        rebuilt, aside = shared.rebuilt, list(shared.set_aside)
    elif "://" in folder:
        raise typer.BadParameter("give a folder, and run this on its machine", param_hint="FOLDER")
    else:
        done = rebuild_folder(Path(folder).expanduser())
        rebuilt, aside = done.rebuilt, [str(path) for path in done.set_aside]
    if as_json:
        document = {"versions": rebuilt.versions, "aliases": rebuilt.aliases, "lost": rebuilt.lost}
        show_json({**document, "recovered": rebuilt.recovered, "set_aside": aside})
        return
    shown = StorageAddress.parse(folder).blobs if is_storage(folder) else folder
    say(f"The index of {shown} has {_held(rebuilt.versions, rebuilt.aliases)}")
    for version in rebuilt.lost:
        say(f"lost: {version}, whose manifest is gone")
    for name in rebuilt.recovered:
        say(f"recovered: {name}, which no history names")
    for path in aside:
        say(f"kept: {path}")


def _tell(found: Verification) -> None:
    size = size_text(found.size_bytes)
    read = f"{count_text(found.versions, 'version')} in {count_text(found.blobs, 'file')}"
    say(f"Read {read} ({size}): {_verdict(found)}")
    _tell_bad(found.bad)
    for problem in found.problems:
        say(problem)


def _held(versions: int, aliases: int) -> str:
    return f"{count_text(versions, 'version')} and {count_text(aliases, 'alias', 'aliases')}"


def _verdict(found: Verification) -> str:
    return "all sound" if found.is_sound else f"{len(found.bad)} bad"


def _tell_bad(bad: tuple[BadBlob, ...]) -> None:
    for blob in bad:
        say(f"{blob.problem}: {blob.digest or 'a manifest'}, needed by {', '.join(blob.versions)}")


def _verification_document(found: Verification) -> dict[str, object]:
    return {
        "versions": found.versions,
        "blobs": found.blobs,
        "bytes": found.size_bytes,
        "sound": found.is_sound,
        "bad": [_blob_document(blob) for blob in found.bad],
        "problems": found.problems,
    }


def _blob_document(blob: BadBlob) -> dict[str, object]:
    return {"digest": blob.digest, "problem": blob.problem, "versions": blob.versions}
