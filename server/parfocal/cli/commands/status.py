"""`parfocal status`: whether a server serves, and what it has."""

import typer

from parfocal.cli.display import show_json, show_rendered
from parfocal.cli.options import DEFAULT_GRPC_ADDRESS, AddressOption, JsonOption, MetricsAddressOption
from parfocal.cli.reach import credentials


def status(
    address: AddressOption = DEFAULT_GRPC_ADDRESS,
    metrics_address: MetricsAddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a server serves: exit code 0 if it does, 1 if not.

    With it its model, limits, adapters and figures since it began; --json has all of them.

    Example: parfocal status --json | jq .serving
    """
    from parfocal.cli.monitoring import History, ServerLooker, frame, status_document
    from parfocal.client import Client, Retries

    with Client(address, credentials=credentials(), retries=Retries(attempts=1)) as client:
        view = History().add(ServerLooker(address, client, metrics_address).look())
    document = status_document(address, view)
    if as_json:
        show_json(document)
    else:
        show_rendered(lambda width: frame(address, view, width))
    if not document["serving"]:
        raise typer.Exit(1)
