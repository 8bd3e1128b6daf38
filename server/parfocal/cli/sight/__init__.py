"""The commands that look at versions: one with all that is known of it, or two side by side."""

from parfocal.cli.sight.comparing import diff
from parfocal.cli.sight.showing import show

__all__ = ["diff", "show"]
