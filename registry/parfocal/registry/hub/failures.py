"""Turns what the Hub's client raises into the registry's error. Knows no call by name."""

from collections.abc import Iterator
from contextlib import contextmanager

from parfocal.registry.errors import HubRefused

_ADVICE = (
    "see that the name is right, that HF_ENDPOINT leads where you mean, and that hf auth login has given you "
    "the right to it"
)


@contextmanager
def hub_failures(deed: str) -> Iterator[None]:
    """Raises HubRefused, with what was to be done and the Hub's first line, for its client's errors."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    # The first base of its own error is the error of whichever HTTP client this release is built on.
    theirs = (EntryNotFoundError, *HfHubHTTPError.__bases__)
    failures: tuple[type[Exception], ...] = (OSError, ValueError, *theirs)
    try:
        yield
    except failures as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # a file of this machine
        raise HubRefused(f"{deed} ({_first_line(error)}); {_ADVICE}", field="hub") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
