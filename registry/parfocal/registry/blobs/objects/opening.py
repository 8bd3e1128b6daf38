"""From a URL to a bucket. Knows which stores there are and what each needs, and no blobs."""

import importlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from parfocal.registry.blobs.objects.bucket import Bucket, Driver, Waits
from parfocal.registry.errors import InvalidArgument

_S3 = frozenset({"s3", "s3a"})
# Stores in which an object appears when its upload ends, and not before.
_WHOLE = _S3 | {"memory", "gs", "gcs", "abfs", "az", "adl"}
_OPTIONS = frozenset({"endpoint_url", "profile"})
_AS_LONG_AS_A_PUBLISHER_WAITS = Waits()


def open_bucket(url: str, waits: Waits = _AS_LONG_AS_A_PUBLISHER_WAITS) -> Bucket:
    """The objects below `s3://bucket/prefix`, or below the URL of any other store that fsspec reaches.

    Credentials come from where the store's own tools take them (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`,
    `AWS_ENDPOINT_URL`, …). `?endpoint_url=…` and `?profile=…` name others. `waits` is how long the store is
    waited for. Raises InvalidArgument.
    """
    parts = urlsplit(url)
    scheme, options = parts.scheme.lower(), dict(parse_qsl(parts.query))
    strange = sorted(set(options) - _OPTIONS)
    if strange or parts.username:
        raise InvalidArgument(
            f"{strange[0]!r} is not an option of blobs, which are {', '.join(sorted(_OPTIONS))}"
            if strange
            else "blobs take no credentials in their URL; set AWS_ACCESS_KEY_ID or AWS_PROFILE",
            field="blobs",
        )
    root = f"{parts.netloc}{parts.path}".rstrip("/") if scheme != "memory" else f"/{parts.netloc}{parts.path}"
    if not root.strip("/"):
        raise InvalidArgument(
            f"blobs {url[:200]!a} name no bucket; write {scheme}://bucket/prefix", field="blobs"
        )
    shown = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    driver = Driver(_opened(scheme, dict(options), waits), _faults(scheme), scheme in _WHOLE)
    return Bucket(driver, root, shown, waits)


def _opened(scheme: str, options: dict[str, Any], waits: Waits) -> Any:
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError as error:
        raise _lacks(scheme, "fsspec") from error
    if scheme in _S3:
        # One place decides how often to try again: Bucket.
        retries = {"max_attempts": 1, "mode": "standard"}
        options["config_kwargs"] = {
            "retries": retries,
            "connect_timeout": waits.connect_s,
            "read_timeout": waits.read_s,
        }
    if scheme != "memory":  # whose one content is shared by all that open it
        options["use_listings_cache"] = False
    try:
        files = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise _lacks(scheme, str(error)) from error
    except ValueError as error:
        raise InvalidArgument(
            f"blobs in {scheme!a}:// are unknown ({error}); give a folder or s3://bucket/prefix",
            field="blobs",
        ) from error
    if scheme in _S3:
        files.retries = 1
    return files


def _lacks(scheme: str, what: str) -> InvalidArgument:
    extra = "pip install 'parfocal[s3]'" if scheme in _S3 else f"install fsspec's driver for {scheme}"
    return InvalidArgument(
        f"blobs in {scheme}:// need more than is installed ({what}): {extra}", field="blobs"
    )


def _faults(scheme: str) -> tuple[type[Exception], ...]:
    """The errors of a store's driver that fsspec leaves as they are."""
    if scheme not in _S3:
        return ()
    exceptions = importlib.import_module("botocore.exceptions")
    aiohttp = importlib.import_module("aiohttp")
    return (exceptions.BotoCoreError, exceptions.ClientError, aiohttp.ClientError, TimeoutError)
