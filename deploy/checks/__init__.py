"""The offline checks of everything in `deploy/`: each names what is wrong, or the tool that it lacks."""

from checks.check import Check, Found, MissingTool
from checks.every import EVERY
from checks.expressions import Expression, expressions, unknown_names
from checks.scrape import Scrape, read_scrape

__all__ = [
    "EVERY",
    "Check",
    "Expression",
    "Found",
    "MissingTool",
    "Scrape",
    "expressions",
    "read_scrape",
    "unknown_names",
]
