"""What a server has measured of an alias's two versions, off its metrics page."""

from parfocal.cli.display import say, show_heading, show_table
from parfocal.cli.monitoring import CanaryFigures, PageUnreadable, canaries_on, read_page
from parfocal.registry import Alias, RegistryError

_TIMEOUT_S = 3.0


class NotMeasured(RegistryError):
    """The metrics page that was named does not answer."""

    status = "UNAVAILABLE"
    reason = "NOT_MEASURED"


def split_document(alias: Alias, metrics_address: str | None) -> dict[str, object] | None:
    """The figures as JSON; None where no page was named or it tells nothing of the canary."""
    found = None if metrics_address is None else _figures(alias, metrics_address)
    return None if found is None else found.to_json()


def show_measured(alias: Alias, metrics_address: str) -> None:
    """Shows the figures of both versions."""
    found = _figures(alias, metrics_address)
    if found is None:
        say(f"The server with metrics at {metrics_address} has answered no request of it yet")
        return
    show_heading(f"Measured at {metrics_address}")
    show_table(("", "VERSION", "REQUESTS", "FAILED", "FIRST TOKEN", "TOKENS"), found.rows())


def _figures(alias: Alias, metrics_address: str) -> CanaryFigures | None:
    try:
        page = read_page(metrics_address, _TIMEOUT_S)
    except PageUnreadable as error:
        raise NotMeasured(f"{error}; give another with --metrics-address") from error
    place = (alias.name, alias.alias)
    return next((each for each in canaries_on(page) if (each.adapter, each.alias) == place), None)
