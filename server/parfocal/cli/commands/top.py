"""`parfocal top`: a live view of a running server."""

import sys
import time
from typing import Annotated

import typer

from parfocal.cli.display import show_json, show_rendered
from parfocal.cli.options import DEFAULT_GRPC_ADDRESS, AddressOption, JsonOption, MetricsAddressOption
from parfocal.cli.reach import credentials


def top(
    address: AddressOption = DEFAULT_GRPC_ADDRESS,
    metrics_address: MetricsAddressOption = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600, help="Between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch a running server.

    Its adapters by tier, tokens per second, times to the first token and between tokens, errors, KV blocks
    and memory. q or Ctrl-C leaves. --once and --json look twice, --interval apart, so that there are rates.

    Example: parfocal top --address 127.0.0.1:50051
    """
    from rich.console import Console

    from parfocal.cli.monitoring import History, ServerLooker, frame, status_document, watch
    from parfocal.client import Client, Retries

    if not once and not as_json and not sys.stdout.isatty():
        raise typer.BadParameter("there is no terminal here; give --once or --json", param_hint="--once")
    # Whoever looks again and again needs no retries.
    with Client(address, credentials=credentials(), retries=Retries(attempts=1)) as client:
        looker = ServerLooker(address, client, metrics_address)
        if not once and not as_json:
            watch(looker, interval, Console(highlight=False))
            return
        history = History()
        view = history.add(looker.look())
        if view.figures is not None:
            time.sleep(interval)
            view = history.add(looker.look())
    if as_json:
        show_json(status_document(address, view))
    else:
        show_rendered(lambda width: frame(address, view, width))
