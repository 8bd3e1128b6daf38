"""Silences what libraries say that nobody can use. Real warnings stay."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# By logger, a pattern of the message's beginning.
_HARMLESS = {
    # Logged on import on CPUs with bfloat16 arithmetic: an optional kernel is absent. We have our own.
    "bitsandbytes.backends.cpu.ops": r"Failed to load CPU gemm_4bit_forward",
    # A table of tensors that are missing or too many, with the advice to train those that are "newly
    # initialized". We read the same report, and refuse the base or warn of it in our own words.
    "transformers.modeling_utils": r"(?s)\S+ LOAD REPORT(?!.*CONVERSION)",
}
# peft 0.21 and trl 1.16 still use names that transformers 5.23 has renamed; nothing here depends on them.
_RENAMED = r".*gradient_checkpointing`? is deprecated.*"


def calm_libraries() -> None:
    """Silences lines known to be harmless for good, and progress bars where no terminal shows them."""
    for name, silence in _silences():
        logging.getLogger(name).addFilter(silence)
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def hide_loading_bars() -> None:
    """Hides transformers' bars where no terminal shows them; for when it is imported."""
    from transformers.utils import logging as transformers_logging

    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silences the same while the scope lasts, with transformers' bars and the warnings of a training run."""
    with ExitStack() as after, warnings.catch_warnings():
        for name, silence in _silences():
            logger = logging.getLogger(name)
            if silence not in logger.filters:
                logger.addFilter(silence)
                after.callback(logger.removeFilter, silence)
        _pause_bars(after)
        warnings.filterwarnings("ignore", message=_RENAMED, category=FutureWarning)
        yield


def _pause_bars(after: ExitStack) -> None:
    from transformers.utils import logging as transformers_logging

    if transformers_logging.is_progress_bar_enabled():
        transformers_logging.disable_progress_bar()
        after.callback(transformers_logging.enable_progress_bar)


def _silences() -> list[tuple[str, "_Without"]]:
    return [(name, _Without(pattern)) for name, pattern in _HARMLESS.items()]


class _Without(logging.Filter):
    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def filter(self, record: logging.LogRecord) -> bool:
        return re.match(self._pattern, str(record.msg)) is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Without) and other._pattern == self._pattern

    def __hash__(self) -> int:
        return hash(self._pattern)
