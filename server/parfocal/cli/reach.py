"""What commands show servers and registries, and whom they trust: flags that all of them share.

A command made by `reaching` has the flags; what it opens with `endpoint` or `registry_at` uses them.
"""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parfocal.registry import Registry, open_registry
from parfocal.registry.disk import data_home
from parfocal.registry.signing import NO_POLICY, KeysWhenAsked, SignaturePolicy

if TYPE_CHECKING:  # gRPC takes a moment to import
    from parfocal.rpc import Credentials, Endpoint

TRUSTED_KEYS = "PARFOCAL_TRUSTED_KEYS"
# Where `parfocal trust` keeps keys unless it is told another place.
OWN_TRUSTED_KEYS = Path(f"{data_home()}/trusted-keys.jsonl")

_FLAGS: dict[str, Any] = {
    "api_key_file": Annotated[
        Path | None,
        typer.Option(
            "--api-key-file",
            metavar="FILE",
            help="A file that holds the API key to show, or set PARFOCAL_API_KEY.",
        ),
    ],
    "tls_ca": Annotated[
        Path | None,
        typer.Option(
            "--tls-ca",
            metavar="FILE",
            help="The authorities to trust, in PEM; PARFOCAL_TLS_CA. Without a scheme it is then TLS.",
        ),
    ],
    "tls_cert": Annotated[
        Path | None,
        typer.Option(
            "--tls-cert", metavar="FILE", help="Your own certificate, in PEM; PARFOCAL_CLIENT_CERT."
        ),
    ],
    "tls_key": Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key; PARFOCAL_CLIENT_KEY.")
    ],
}
_VARIABLES = {
    "api_key_file": "PARFOCAL_API_KEY_FILE",
    "tls_ca": "PARFOCAL_TLS_CA",
    "tls_cert": "PARFOCAL_CLIENT_CERT",
    "tls_key": "PARFOCAL_CLIENT_KEY",
}
_given: ContextVar[Mapping[str, Path]] = ContextVar("parfocal-reach", default={})  # noqa: B039  # never changed


def reaching(command: Callable[..., None]) -> Callable[..., None]:
    """The command with flags for a key and certificates besides its own."""
    own = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _FLAGS.items()
    ]

    @functools.wraps(command)
    def called(**values: Any) -> None:
        flags = {name: values.pop(name) for name in _FLAGS}
        _given.set({name: value for name, value in flags.items() if value is not None})
        command(**values)

    called.__annotations__ = {**command.__annotations__, **_FLAGS}
    vars(called)["__signature__"] = own.replace(parameters=[*own.parameters.values(), *added])
    return called


def credentials() -> "Credentials":
    """What this command was told to show, by its flags or else the environment; raises CredentialsInvalid."""
    from parfocal.rpc import Credentials

    given = _given.get()
    environment = {name: value for name, value in os.environ.items() if name.startswith("PARFOCAL_")}
    if "api_key_file" in given:
        environment.pop("PARFOCAL_API_KEY", None)
    environment |= {_VARIABLES[name]: str(path) for name, path in given.items()}
    return Credentials.found_in(environment)


def endpoint(address: str) -> "Endpoint":
    """The server at an address; raises AddressInvalid or CredentialsInvalid."""
    from parfocal.rpc import Endpoint

    return Endpoint.parse(address, credentials())


def registry_at(location: str, *, create: bool = False) -> Registry:
    """The registry at a location, a folder or a server's; raises what `open_registry` does.

    Gates of a folder are met by the signatures of those whom its user trusts; a server has keys of its own.
    """
    is_remote = "://" in location
    shown = credentials() if is_remote else None
    return open_registry(location, create=create, credentials=shown, policy=_own_policy())


def trusted_keys_file() -> Path | None:
    """The file of keys that the user trusts, None where there is none."""
    named = os.environ.get(TRUSTED_KEYS)
    file = os.path.expanduser(named or OWN_TRUSTED_KEYS)  # raises nothing without a home
    # Where another's home cannot be looked into there is none.
    return Path(file) if named or os.path.exists(file) else None


def _own_policy() -> SignaturePolicy:
    file = trusted_keys_file()
    return NO_POLICY if file is None else SignaturePolicy(trust=KeysWhenAsked(file))
