"""Opens channels to a Parfocal server, asyncio or blocking, with the same settings. Knows no service."""

import grpc

from parfocal.rpc.addresses import checked_address
from parfocal.rpc.options import channel_options
from parfocal.v1.limits import REPLY_BYTES


def open_channel(address: str, max_message_bytes: int = REPLY_BYTES.most) -> grpc.aio.Channel:
    """An asyncio channel to `host:port` or `unix:path`; it connects at the first call.

    `max_message_bytes` bounds the messages received. Raises AddressInvalid.
    """
    return grpc.aio.insecure_channel(checked_address(address), options=channel_options(max_message_bytes))


def open_blocking_channel(address: str, max_message_bytes: int = REPLY_BYTES.most) -> grpc.Channel:
    """A blocking channel to `host:port` or `unix:path`; it connects at the first call.

    `max_message_bytes` bounds the messages received. Raises AddressInvalid.
    """
    return grpc.insecure_channel(checked_address(address), options=channel_options(max_message_bytes))
