"""`parfocal serve` on a device that dies once FILE exists: `python -m fakes.dying_server FILE serve …`.

Into FILE it then writes how many objects no collection of Python looks at.
"""

import gc
import sys
from dataclasses import replace
from pathlib import Path

import typer

from parfocal.cli.commands.serve import build_serve
from parfocal.cli.failures import OneLineGroup
from parfocal.engine import quick_imports
from parfocal.server import ServeConfig

with quick_imports():
    from fakes.engine.dying_backend import on_dying_device
    from parfocal.server.assembly import Loaded, load


def main(file: Path, arguments: list[str]) -> None:
    """Runs the command with those arguments."""

    def has_died() -> bool:
        if not file.exists():
            return False
        file.write_text(str(gc.get_freeze_count()))
        return True

    def dying(config: ServeConfig) -> Loaded:
        loaded = load(config)
        return replace(loaded, base=on_dying_device(loaded.base, has_died))

    app = typer.Typer(cls=OneLineGroup, pretty_exceptions_enable=False)
    app.command()(build_serve(dying))
    app.callback()(lambda: None)
    app(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
