"""Looks at a running server from outside: one look, figures between two, frames and documents of them."""

from parfocal.cli.monitoring.document import status_document
from parfocal.cli.monitoring.figures import Figures, Quantiles, figures_between
from parfocal.cli.monitoring.frame import frame
from parfocal.cli.monitoring.history import History, View
from parfocal.cli.monitoring.live import watch
from parfocal.cli.monitoring.look import Look, Looker, ServerLooker
from parfocal.cli.monitoring.metrics_page import MetricsPage

__all__ = [
    "Figures",
    "History",
    "Look",
    "Looker",
    "MetricsPage",
    "Quantiles",
    "ServerLooker",
    "View",
    "figures_between",
    "frame",
    "status_document",
    "watch",
]
