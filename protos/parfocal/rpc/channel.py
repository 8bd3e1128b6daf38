"""Opens channels to a Parfocal server, asyncio or blocking, with the same settings. Knows no service."""

import grpc

from parfocal.rpc.credentials import read_pem
from parfocal.rpc.endpoint import Endpoint
from parfocal.rpc.options import channel_options
from parfocal.rpc.shown_key import BlockingKeyShowingChannel, KeyShowingChannel
from parfocal.v1.limits import REPLY_BYTES


def open_channel(server: str | Endpoint, max_message_bytes: int = REPLY_BYTES.most) -> grpc.aio.Channel:
    """An asyncio channel to an endpoint, or to one as users write it; it connects at the first call.

    Every rpc shows the endpoint's API key. `max_message_bytes` bounds the messages received. Raises
    AddressInvalid or CredentialsInvalid.
    """
    endpoint = Endpoint.parse(server) if isinstance(server, str) else server
    options = channel_options(max_message_bytes)
    if endpoint.over_tls:
        channel = grpc.aio.secure_channel(endpoint.address, _tls(endpoint), options=options)
    else:
        channel = grpc.aio.insecure_channel(endpoint.address, options=options)
    key = endpoint.credentials.api_key
    return channel if key is None else KeyShowingChannel(channel, key)


def open_blocking_channel(server: str | Endpoint, max_message_bytes: int = REPLY_BYTES.most) -> grpc.Channel:
    """A blocking channel to an endpoint, or to one as users write it; it connects at the first call.

    Every rpc shows the endpoint's API key. `max_message_bytes` bounds the messages received. Raises
    AddressInvalid or CredentialsInvalid.
    """
    endpoint = Endpoint.parse(server) if isinstance(server, str) else server
    options = channel_options(max_message_bytes)
    if endpoint.over_tls:
        channel = grpc.secure_channel(endpoint.address, _tls(endpoint), options=options)
    else:
        channel = grpc.insecure_channel(endpoint.address, options=options)
    key = endpoint.credentials.api_key
    return channel if key is None else BlockingKeyShowingChannel(channel, key)


def _tls(endpoint: Endpoint) -> grpc.ChannelCredentials:
    pem = read_pem(endpoint.credentials)
    return grpc.ssl_channel_credentials(pem.ca, pem.key, pem.cert)
