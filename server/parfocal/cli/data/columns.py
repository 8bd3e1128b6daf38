"""Names of columns on the command line, ours to theirs: `--column completion=answer`."""

from collections.abc import Sequence

import typer


def read_columns(given: Sequence[str]) -> dict[str, str]:
    """The columns that flags name; raises BadParameter.

    >>> read_columns(["completion=answer"])
    {'completion': 'answer'}
    """
    columns: dict[str, str] = {}
    for text in given:
        ours, parted, theirs = text.partition("=")
        if not (ours and parted and theirs) or ours in columns:
            raise typer.BadParameter(
                f"{text!r} is not NAME=YOURS, each name once, such as completion=answer",
                param_hint="--column",
            )
        columns[ours] = theirs
    return columns
