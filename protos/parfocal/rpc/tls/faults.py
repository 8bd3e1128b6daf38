"""Why no connection came about, where TLS or another protocol is the reason: asks the server again.

gRPC says only that a handshake failed or that nobody answers, in words of the library that it is built with.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator

from parfocal.rpc.credentials import client_context
from parfocal.rpc.endpoint import Endpoint
from parfocal.rpc.errors import RemoteError

# The reasons of what `explained` explains: asking again does not help.
TLS_FAILED = "TLS_FAILED"
NOT_GRPC = "NOT_GRPC"
_UNREACHABLE = "UNAVAILABLE"
_PATIENCE_S = 3.0
# A frame of HTTP/2 begins with its length, in three bytes, and its type; heads of frames have nine.
_FIRST_BYTES = 9
_SETTINGS = b"\x04"
_OTHER = "something answers there that speaks not gRPC"
# The first bytes of every HTTP/2 connection, with empty settings: what follows is an answer or a refusal.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

# OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_OTHER_HOST = (62, 64)


def explained(error: RemoteError, endpoint: Endpoint) -> RemoteError:
    """The same failure, in words about TLS or another protocol if that is why the server was not reached.

    Blocks for some seconds at most, and only where the status comes from gRPC itself.
    """
    from_grpc = (error.status, error.reason) == (_UNREACHABLE, _UNREACHABLE)
    if not from_grpc or endpoint.address.startswith("unix:"):
        return error
    fault = _fault(endpoint) if endpoint.over_tls else _fault_of_plain(endpoint)
    if fault is None:
        return error
    reason = NOT_GRPC if fault.startswith(_OTHER) else TLS_FAILED
    return RemoteError(f"{endpoint}: {fault}", error.status, reason, error.metadata)


def _fault(endpoint: Endpoint) -> str | None:
    try:
        with _connected(endpoint, client_context(endpoint.credentials)) as tls:
            tls.sendall(_PREFACE)
            answered = tls.recv(_FIRST_BYTES)
    except ssl.SSLCertVerificationError as fault:
        return _of_certificate(fault, endpoint)
    except ssl.SSLError as fault:
        return _of_handshake(fault, endpoint)
    except TimeoutError:
        return None
    except ConnectionResetError:
        answered = b""
    except OSError:  # nobody listens there
        return None
    return _of_answer(answered) if answered else _of_caller(endpoint)


def _fault_of_plain(endpoint: Endpoint) -> str | None:
    try:
        answered = _answer_in_plain(endpoint)
    except ConnectionResetError:
        answered = b""
    except OSError:  # nobody listens there, or whoever does keeps silent
        return None
    return (
        None
        if _is_http2(answered)
        else _tls_instead(endpoint) or (_of_answer(answered) if answered else None)
    )


def _answer_in_plain(endpoint: Endpoint) -> bytes:
    with socket.create_connection(_place(endpoint), _PATIENCE_S) as plain:
        plain.sendall(_PREFACE)
        return plain.recv(_FIRST_BYTES)


def _of_answer(answered: bytes) -> str | None:
    """What is said of a server by the first bytes of its answer; None if it speaks HTTP/2, as gRPC does."""
    if _is_http2(answered):
        return None
    protocol = "HTTP/1" if answered.startswith(b"HTTP/") else "another protocol"
    return f"{_OTHER} but {protocol}; give its address for gRPC, which parfocal serve names when it begins"


def _is_http2(answered: bytes) -> bool:
    """Whether it begins with a frame of settings, as every answer in HTTP/2 does."""
    return answered[3:4] == _SETTINGS


def _tls_instead(endpoint: Endpoint) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError), _connected(endpoint, context):
        return f"the server speaks TLS; write grpcs://{endpoint.address}"
    return None


def _of_certificate(fault: ssl.SSLCertVerificationError, endpoint: Endpoint) -> str:
    trusted = endpoint.credentials.tls_ca
    if fault.verify_code == _EXPIRED:
        return "the server's certificate has expired; its operator must renew it"
    if fault.verify_code == _NOT_YET_VALID:
        return "the server's certificate is not valid yet; one of the two clocks may be wrong"
    if fault.verify_code in _OTHER_HOST:
        return f"the server's certificate is for another host ({fault.verify_message}); write the host's name"
    if fault.verify_code in _UNKNOWN_AUTHORITY:
        whom = (
            f"none of those in {trusted}"
            if trusted
            else "no public authority; name its own with --tls-ca FILE"
        )
        return f"the server's certificate is from {whom}"
    return f"the server's certificate cannot be trusted: {fault.verify_message}"


def _of_handshake(fault: ssl.SSLError, endpoint: Endpoint) -> str:
    reason = fault.reason or ""
    if "ALERT" in reason and "VERSION" not in reason:
        return _of_caller(endpoint)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return f"the server does not speak TLS; write grpc://{endpoint.address}"
    return f"no TLS comes about: {reason or fault}"


def _of_caller(endpoint: Endpoint) -> str:
    """The server accepted everything but the caller: gRPC's servers then close without a word."""
    own = endpoint.credentials.tls_cert
    if own is None:
        return "the server wants a client certificate; give one with --tls-cert FILE --tls-key FILE"
    return f"the server refuses the client certificate {own}; it may not know the authority that issued it"


@contextlib.contextmanager
def _connected(endpoint: Endpoint, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    place = _place(endpoint)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(place, _PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=place[0]) as tls,
    ):
        yield tls


def _place(endpoint: Endpoint) -> tuple[str, int]:
    host, _, port = endpoint.address.rpartition(":")
    return host.strip("[]"), int(port)
