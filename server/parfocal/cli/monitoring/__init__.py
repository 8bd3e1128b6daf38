"""Looks at a running server from outside: one look, figures between two, frames and documents of them."""

from parfocal.cli.monitoring.canaries import CanaryFigures, canaries_on
from parfocal.cli.monitoring.document import status_document
from parfocal.cli.monitoring.figures import Figures, Quantiles, figures_between
from parfocal.cli.monitoring.frame import frame
from parfocal.cli.monitoring.history import History, View
from parfocal.cli.monitoring.live import watch
from parfocal.cli.monitoring.look import Look, Looker, ServerLooker
from parfocal.cli.monitoring.metrics_page import MetricsPage, PageUnreadable, read_page

__all__ = [
    "CanaryFigures",
    "Figures",
    "History",
    "Look",
    "Looker",
    "MetricsPage",
    "PageUnreadable",
    "Quantiles",
    "ServerLooker",
    "View",
    "canaries_on",
    "figures_between",
    "frame",
    "read_page",
    "status_document",
    "watch",
]
