"""What a caller shows a server, and whom it trusts: an API key, certificates. Opens no channel."""

import contextlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.rpc.errors import CredentialsInvalid

# Where each part stands in the environment. `PARFOCAL_TLS_CERT` and `…_KEY` are the server's own certificate.
API_KEY = "PARFOCAL_API_KEY"
API_KEY_FILE = "PARFOCAL_API_KEY_FILE"
TLS_CA = "PARFOCAL_TLS_CA"
CLIENT_CERT = "PARFOCAL_CLIENT_CERT"
CLIENT_KEY = "PARFOCAL_CLIENT_KEY"
VARIABLES = (API_KEY, API_KEY_FILE, TLS_CA, CLIENT_CERT, CLIENT_KEY)

# What a header may carry; our own keys have letters, digits and underscores only.
_KEY = re.compile(r"[\x21-\x7e]{1,512}")

# OpenSSL's numbers for what is wrong with a certificate's time.
_FAULTS_OF_TIME = {10: "has expired; renew it", 9: "is not valid yet; this machine's clock may be wrong"}

# OpenSSL's words for what is wrong with PEM files, and ours.
_TLS_FAULTS = {
    "KEY_VALUES_MISMATCH": "the private key belongs to another certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in PEM in it",
    "NO_START_LINE": "it is not in PEM",
    "PEM_LIB": "it is not in PEM",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """`api_key` is shown with every rpc; the others count where the address is reached over TLS.

    tls_ca: the authorities that a server's certificate may come from, None for those that gRPC brings along.
    tls_cert, tls_key: the caller's own certificate and its private key, for servers that want one. All three
    are PEM files.
    """

    api_key: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None and not _KEY.fullmatch(self.api_key):
            raise CredentialsInvalid("the API key is no single word of printable ASCII; copy it again, whole")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise CredentialsInvalid(
                "a client certificate needs its private key, and the key its certificate"
            )

    @property
    def need_tls(self) -> bool:
        """Whether any part makes sense over TLS only."""
        return self.tls_ca is not None or self.tls_cert is not None

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> "Credentials":
        """Those that variables name (`PARFOCAL_API_KEY`, or a file of it, …); empty variables count as unset.

        Raises CredentialsInvalid.
        """
        key, file = environment.get(API_KEY, ""), environment.get(API_KEY_FILE, "")
        paths = [_path(environment.get(name, "")) for name in (TLS_CA, CLIENT_CERT, CLIENT_KEY)]
        return cls(key or (read_api_key(Path(file)) if file else None), *paths)


def read_api_key(file: Path) -> str:
    """The key that a file holds and nothing else; raises CredentialsInvalid, which never repeats it."""
    try:
        words = file.read_text("ascii").split()
    except OSError as error:
        raise CredentialsInvalid(f"the API key file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        words = []
    if len(words) != 1:
        raise CredentialsInvalid(f"the API key file {file} must hold one key, pf_…, and nothing else")
    return words[0]


@dataclass(frozen=True, slots=True)
class PemFiles:
    """The contents of what `Credentials` name; each None where there is no file."""

    ca: bytes | None
    cert: bytes | None
    key: bytes | None


def read_pem(credentials: Credentials) -> PemFiles:
    """Reads the files and checks what gRPC would only complain about later, in other words.

    Raises CredentialsInvalid for a file that cannot be read, holds no certificate, or belongs to another key.
    """
    client_context(credentials)
    ca, cert, key = credentials.tls_ca, credentials.tls_cert, credentials.tls_key
    return PemFiles(*(None if file is None else file.read_bytes() for file in (ca, cert, key)))


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """The same trust and certificate for Python's own TLS; raises CredentialsInvalid."""
    context = ssl.create_default_context()
    if credentials.tls_ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        check_authorities(context, credentials.tls_ca)
    if credentials.tls_cert is not None:
        check_pair(context, credentials.tls_cert, credentials.tls_key)
    return context


def check_authorities(context: ssl.SSLContext, ca: Path) -> None:
    """Makes `context` trust the authorities in a file; raises CredentialsInvalid."""
    with _naming(f"the authorities in {ca}"):
        context.load_verify_locations(ca)


def check_pair(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Loads a certificate and its private key into `context`.

    Raises CredentialsInvalid, also for a certificate that has expired or is not valid yet.
    """
    with _naming(f"the certificate {cert} and the private key {key}"):
        context.load_cert_chain(cert, key, _no_password)
        fault = _fault_of_time(cert, key)
    if fault is not None:
        raise CredentialsInvalid(f"the certificate {cert} {fault}")


def _fault_of_time(cert: Path, key: Path | None) -> str | None:
    """What a caller who trusts the certificate itself says of its time, in a handshake within memory.

    Python shows nobody when a certificate ends.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(cert, key)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    try:
        for side in (*sides, sides[0]):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return _FAULTS_OF_TIME.get(error.verify_code)
    return None


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise CredentialsInvalid(
            f"{what} cannot be used: {_TLS_FAULTS.get(error.reason or 'PEM_LIB', error)}"
        ) from error
    except OSError as error:
        raise CredentialsInvalid(f"{what} cannot be read: {error.strerror or error}") from error


def _no_password() -> str:
    raise CredentialsInvalid(
        "the private key is encrypted; write it without a passphrase, readable for you alone"
    )


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None
