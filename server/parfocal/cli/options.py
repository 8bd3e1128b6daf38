"""Flags that several commands share. Values and help only."""

from pathlib import Path
from typing import Annotated

import typer

from parfocal.server import DEFAULT_GRPC_ADDRESS, DEFAULT_REGISTRY

RegistryOption = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="PARFOCAL_REGISTRY",
        metavar="FOLDER|grpc[s]://HOST:PORT",
        help="Where adapters are kept.",
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="PARFOCAL_ADDRESS",
        metavar="[grpcs://]HOST:PORT",
        help="The server to ask, with grpcs:// over TLS; start one with parfocal serve.",
    ),
]
MetricsAddressOption = Annotated[
    str | None,
    typer.Option(
        "--metrics-address",
        envvar="PARFOCAL_METRICS_ADDRESS",
        metavar="HOST:PORT",
        help="Where its metrics page is. Default: where the server says.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
ActorOption = Annotated[
    str | None,
    typer.Option(
        "--actor",
        envvar="PARFOCAL_ACTOR",
        metavar="WHO",
        help="Who does this, for the history. Default: you.",
    ),
]
ExpectOption = Annotated[
    int | None,
    typer.Option(
        "--expect",
        metavar="VERSION",
        min=0,
        help="Move it only if it points at this version now; 0: only if it does not exist.",
    ),
]
GivenTagsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="A word that the version is found by, such as language:de; again for more.",
    ),
]
FilesOnlyOption = Annotated[
    bool,
    typer.Option(
        "--files-only",
        help="Leave out the manifest and signatures that Parfocal has put beside the files, and publish "
        "these as any others.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The adapter, such as team/invoices.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER")]

__all__ = [
    "DEFAULT_GRPC_ADDRESS",
    "DEFAULT_REGISTRY",
    "ActorOption",
    "AddressOption",
    "ExpectOption",
    "FilesOnlyOption",
    "FolderArgument",
    "GivenTagsOption",
    "JsonOption",
    "MetricsAddressOption",
    "NameArgument",
    "RegistryOption",
    "YesOption",
]
