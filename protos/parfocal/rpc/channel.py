"""Opens channels to a Parfocal server, asyncio or blocking, with the same settings. Knows no service."""

import grpc

from parfocal.rpc.addresses import checked_address
from parfocal.rpc.options import MAX_MESSAGE_BYTES, channel_options


def open_channel(address: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> grpc.aio.Channel:
    """Returns an asyncio channel to `host:port` or `unix:path`; it connects at the first call.

    `max_message_bytes` bounds the messages received. Raises AddressInvalid.
    """
    return grpc.aio.insecure_channel(checked_address(address), options=channel_options(max_message_bytes))


def open_blocking_channel(address: str, max_message_bytes: int = MAX_MESSAGE_BYTES) -> grpc.Channel:
    """Returns a blocking channel to `host:port` or `unix:path`; it connects at the first call.

    `max_message_bytes` bounds the messages received. Raises AddressInvalid.
    """
    return grpc.insecure_channel(checked_address(address), options=channel_options(max_message_bytes))
