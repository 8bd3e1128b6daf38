"""Who is let into a server, by its settings: keys and TLS, the same for every face. Listens nowhere."""

import logging
from pathlib import Path

from parfocal.rpc import CredentialsInvalid, Guard, TlsFiles, server_context
from parfocal.rpc.access import KeyFileInvalid, KeysInForce
from parfocal.server.errors import BadSetting
from parfocal.server.exposure import is_loopback
from parfocal.server.settings import ServeConfig

log = logging.getLogger(__name__)


def guard_of(config: ServeConfig) -> Guard:
    """What every face holds its callers to; raises BadSetting."""
    guard = Guard(_keys(config), tls_files(config))
    if guard.keys is not None and guard.tls is None:
        _warn_of_plain_keys(config.grpc_address, config.http_address)
    return guard


def _warn_of_plain_keys(*addresses: str) -> None:
    for address in addresses:
        if address and not is_loopback(address):
            log.warning(
                "keys cross the network unencrypted to %s; give --tls-cert and --tls-key, unless a proxy "
                "before it speaks TLS",
                address,
            )


def tls_files(config: ServeConfig) -> TlsFiles | None:
    """The files of the server's TLS, which can be used; None without. Raises BadSetting."""
    if not config.tls_cert:
        for name in ("tls_key", "tls_client_ca"):
            if getattr(config, name):
                raise BadSetting(f"{name} is set without tls_cert; give both", field=name)
        return None
    if not config.tls_key:
        raise BadSetting("tls_cert is set without tls_key; give both", field="tls_key")
    files = TlsFiles(_path(config.tls_cert), _path(config.tls_key), _ca(config))
    try:
        server_context(files)
    except CredentialsInvalid as error:
        raise BadSetting(str(error), field="tls_cert") from error
    return files


def _keys(config: ServeConfig) -> KeysInForce | None:
    if not config.keys:
        return None
    try:
        return KeysInForce(_path(config.keys))
    except KeyFileInvalid as error:
        raise BadSetting(str(error), field="keys") from error


def _ca(config: ServeConfig) -> Path | None:
    return _path(config.tls_client_ca) if config.tls_client_ca else None


def _path(text: str) -> Path:
    return Path(text).expanduser()
