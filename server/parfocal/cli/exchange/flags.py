"""Flags of export and import. Values and help only."""

from pathlib import Path
from typing import Annotated

import typer

ToLayoutOption = Annotated[
    Path | None,
    typer.Option(
        "--oci",
        metavar="FOLDER",
        help="As an OCI image layout with the media types of CNCF ModelPack.",
        show_default=False,
    ),
]
ToHubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="REPO",
        help="To a repository of the Hub, such as org/name, with a card.",
        show_default=False,
    ),
]
MergedOption = Annotated[
    Path | None,
    typer.Option(
        "--merged",
        metavar="FOLDER",
        help="Merged into its base, as a folder that transformers loads.",
        show_default=False,
    ),
]
GgufLoraOption = Annotated[
    Path | None,
    typer.Option(
        "--gguf-lora",
        metavar="FILE",
        help="As llama.cpp's LoRA, beside a GGUF of its base.",
        show_default=False,
    ),
]
BaseOfFormOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BASE",
        help="For --merged and --gguf-lora: tiny, a folder or a Hub id. Default: what the version says.",
    ),
]
PublicOption = Annotated[
    bool, typer.Option("--public", help="With --hub, make a new repository public. Default: private.")
]

ImportedNameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="The adapter, such as team/invoices. Default: what the image was exported from.",
        show_default=False,
    ),
]
FromLayoutOption = Annotated[
    Path | None,
    typer.Option(
        "--oci",
        metavar="FOLDER",
        help="An OCI image layout that holds an adapter after CNCF ModelPack.",
        show_default=False,
    ),
]
TagOption = Annotated[
    str | None, typer.Option("--tag", metavar="TAG", help="Which image, where the layout holds several.")
]
BaseOfImageOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BASE",
        help="What it was trained on: tiny, a folder or a Hub id. Default: what the image says.",
    ),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--unverified-base", help="Publish without seeing the base; serving then checks what it can."
    ),
]
