"""The commands that take versions out to other tools and bring adapters in from them."""

from parfocal.cli.exchange.exporting import export
from parfocal.cli.exchange.importing import import_

__all__ = ["export", "import_"]
