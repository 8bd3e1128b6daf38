"""Which servers hold a version now, as they say."""

from dataclasses import dataclass

from parfocal.cli.display import count_text
from parfocal.cli.reach import credentials

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a server said: whether it holds the version, how far it is and where; or why it cannot be told."""

    address: str
    is_held: bool = False
    state: str = ""
    tier: str = ""
    size_bytes: int = 0
    pins: int = 0
    fault: str = ""

    def __str__(self) -> str:
        if self.fault:
            return f"{self.address}: {self.fault}"
        if not self.is_held:
            return f"{self.address}: does not hold it now"
        return f"{self.address}: {self.state}, on {self.tier}, {count_text(self.pins, 'request')} with it now"


def held_at(address: str, digest: str) -> Held:
    """Asks a server, which may be away."""
    # Imported only here: a registry in a folder needs no gRPC.
    from parfocal.client import Client, ClientError, Retries

    try:
        with Client(address, credentials=credentials(), retries=Retries(attempts=1)) as client:
            adapters = client.loaded_adapters(timeout=_TIMEOUT_S)
    except ClientError as error:
        return Held(address, fault=str(error))
    for each in adapters:
        if each.digest == digest:
            return Held(address, True, each.state, each.tier, each.size_bytes, each.pins)
    return Held(address)
