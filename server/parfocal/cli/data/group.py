"""`parfocal data`: the group of commands, and what they take."""

from pathlib import Path
from typing import Annotated

import typer

from parfocal.cli.data.checking import CheckRequest, check_files
from parfocal.cli.data.columns import read_columns
from parfocal.cli.data.example import example
from parfocal.cli.data.showing import ShowRequest, show_rows
from parfocal.cli.extras import needing
from parfocal.cli.options import JsonOption
from parfocal.cli.template_variables import read_variables

METHODS = ("sft", "text", "dpo", "kto", "grpo", "reward")
VIEWS = ("sft", "text", "preference", "unpaired", "prompts")

_WHAT = "A file, a data set of the Hub as hf://org/name[@revision][:split], or - for standard input."
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="BASE",
        help="Whose tokens and chat template: tiny, a folder or a Hub id. Default: tiny.",
        show_default=False,
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=YOURS",
        help="A column that the rows call otherwise, such as completion=answer; may be repeated.",
    ),
]
LengthOption = Annotated[
    int | None,
    typer.Option("--max-length", min=8, help="Where rows are cut, in tokens. Default: the base's context."),
]
VariableOption = Annotated[
    list[str] | None,
    typer.Option(
        "--template-variable",
        metavar="NAME=VALUE",
        help="What the chat template reads, such as enable_thinking=false; may be repeated.",
    ),
]


def build_data() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(
        name="data",
        help="Check rows before training, show what is learnt of them, or make some to try with.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("check")(needing("train", check))
    group.command("show")(needing("train", show))
    group.command("example")(example)
    return group


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help=_WHAT)],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="|".join(METHODS),
            help="By whose rules. Default: the method that the format is written for.",
        ),
    ] = None,
    base: BaseOption = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out", metavar="FILE", help="Rows that must not be among those to train on, nor nearly."
        ),
    ] = None,
    max_length: LengthOption = None,
    columns: ColumnOption = None,
    variables: VariableOption = None,
    tokens: Annotated[
        bool, typer.Option("--tokens/--no-tokens", help="Count tokens; without, no base is looked at.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check rows: formats, faults by line, repeats, contradictions, balance, secrets, tokens, methods.

    Reads JSON lines, a JSON array, CSV and Parquet, also compressed with gzip, in OpenAI's, TRL's, ShareGPT's
    and Alpaca's formats. A file of any size is read piece by piece. Ends with 1 where one cannot be used.

    Example: parfocal data check rows.jsonl --held-out held.jsonl
    """
    _one_of(method, METHODS, "--method")
    check_files(
        CheckRequest(
            files=tuple(map(Path, files)),
            method=method,
            base=base,
            held_out=held_out,
            max_length=max_length,
            columns=read_columns(columns or ()),
            variables=read_variables(variables or ()),
            tokens=tokens,
            as_json=as_json,
        )
    )


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help=_WHAT)],
    mask: Annotated[
        bool,
        typer.Option("--mask", help="Show the tokens: what is learnt, what is only read, and what is cut."),
    ] = False,
    base: BaseOption = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=1, help="How many rows. Default: 5, with --as all.", show_default=False),
    ] = None,
    line: Annotated[
        int | None, typer.Option("--line", min=1, help="Only the row of this line.", show_default=False)
    ] = None,
    view: Annotated[
        str | None,
        typer.Option("--as", metavar="|".join(VIEWS), help="Print the rows as another method reads them."),
    ] = None,
    max_length: LengthOption = None,
    columns: ColumnOption = None,
    variables: VariableOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show rows as they are read, as another method reads them, or, with --mask, as the loss sees them.

    Example: parfocal data show rows.jsonl --mask --rows 2
    """
    _one_of(view, VIEWS, "--as")
    if mask and view:
        raise typer.BadParameter("show tokens or write rows, not both", param_hint="--as")
    show_rows(
        ShowRequest(
            file=Path(file),
            mask=mask,
            base=base,
            rows=rows,
            line=line,
            view=view,
            max_length=max_length,
            columns=read_columns(columns or ()),
            variables=read_variables(variables or ()),
            as_json=as_json,
        )
    )


def _one_of(value: str | None, known: tuple[str, ...], flag: str) -> None:
    if value is not None and value not in known:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=flag)
