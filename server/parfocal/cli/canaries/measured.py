"""What a server has measured of an alias's two versions, off its metrics page."""

from parfocal.cli.display import say, show_heading, show_table
from parfocal.cli.monitoring import CanaryFigures, PageUnreadable, canaries_on, read_page
from parfocal.registry import Alias

_TIMEOUT_S = 3.0


def split_document(alias: Alias, metrics_address: str | None) -> dict[str, object] | None:
    """The figures as JSON; None where no page was named or can be read, or it tells nothing of the canary."""
    try:
        found = None if metrics_address is None else _figures(alias, metrics_address)
    except PageUnreadable as error:
        _warn(error)
        return None
    return None if found is None else found.to_json()


def show_measured(alias: Alias, metrics_address: str) -> None:
    """Shows the figures of both versions, or warns: what the registry knows has been told."""
    try:
        found = _figures(alias, metrics_address)
    except PageUnreadable as error:
        _warn(error)
        return
    if found is None:
        say(f"The server with metrics at {metrics_address} has answered no request of it yet")
        return
    show_heading(f"Measured at {metrics_address}")
    show_table(("", "VERSION", "REQUESTS", "FAILED", "FIRST TOKEN", "TOKENS"), found.rows())


def _figures(alias: Alias, metrics_address: str) -> CanaryFigures | None:
    page, place = read_page(metrics_address, _TIMEOUT_S), (alias.name, alias.alias)
    return next((each for each in canaries_on(page) if (each.adapter, each.alias) == place), None)


def _warn(error: PageUnreadable) -> None:
    say(f"warning: {error}; give another with --metrics-address", err=True)
