"""A server's certificate, used as its files have it now. Reads PEM files; opens nothing."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from parfocal.rpc.credentials import check_authorities, check_pair
from parfocal.rpc.errors import CredentialsInvalid

log = logging.getLogger(__name__)

# How often handshakes look whether a file has changed.
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: a certificate chain, its private key, and the authorities of callers' certificates, if any.

    With `client_ca`, a caller without a certificate of theirs is not let in (mTLS).
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


def server_context(files: TlsFiles, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """The files for Python's own TLS, which an HTTP server uses; raises CredentialsInvalid."""
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    check_pair(context, files.cert, files.key)
    if files.client_ca is not None:
        check_authorities(context, files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """The files for gRPC, which asks for them again at every handshake; raises CredentialsInvalid."""
    watched = WatchedFiles(files)
    first = _configuration(files)

    def newer() -> grpc.ServerCertificateConfiguration | None:
        return _configuration(files) if watched.changed() else None

    return grpc.dynamic_ssl_server_credentials(
        first,
        newer,  # type: ignore[arg-type]  # None, for nothing newer, is missing in the stubs
        require_client_authentication=files.client_ca is not None,
    )


def renewing_context(files: TlsFiles, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """The files for Python's own TLS as handshakes find them: renewed ones count from the next connection on.

    `kind` makes the connections. Raises CredentialsInvalid.
    """
    watched, used = WatchedFiles(files), [server_context(files)]

    def renew(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        if watched.changed():
            used[0] = server_context(files)
        connection.context = used[0]

    context = server_context(files, kind)
    context.sni_callback = renew
    return context


class WatchedFiles:
    """Tells when the files have changed and can be used.

    Any thread may ask; the disk is asked at most once a second.
    """

    def __init__(self, files: TlsFiles, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises CredentialsInvalid for files that cannot be used."""
        server_context(files)
        self._files = files
        self._clock = clock
        self._stamp = _stamp(files)
        self._looked = clock()
        self._lock = threading.Lock()

    def changed(self) -> bool:
        """Whether there is something newer to use than when this was last asked.

        Files that cannot be used, as in the middle of a renewal, are logged and tried again when they change.
        """
        with self._lock:
            if self._clock() - self._looked < _LOOK_S:
                return False
            self._looked = self._clock()
            stamp = _stamp(self._files)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
        try:
            server_context(self._files)
        except CredentialsInvalid as error:
            log.error("the certificate in use stays: %s", error)  # noqa: TRY400  # the operator's, not ours
            return False
        log.info("the certificate %s was renewed", self._files.cert)
        return True


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    pair = (files.key.read_bytes(), files.cert.read_bytes())
    authorities = files.client_ca.read_bytes() if files.client_ca is not None else None
    return grpc.ssl_server_certificate_configuration([pair], authorities)


def _stamp(files: TlsFiles) -> tuple[tuple[int, ...] | None, ...]:
    """What changes when a file is written, or replaced through a link, as mounted secrets are."""
    paths = (files.cert, files.key, files.client_ca)
    return tuple(None if path is None else _stamp_of(path) for path in paths)


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
