"""Silences library messages that nobody can use. Real warnings stay."""

import logging
import os
import re
import sys

# By logger, a pattern of the message's beginning.
_HARMLESS = {
    # Logged on import on CPUs with bfloat16 arithmetic: an optional kernel is absent. We have our own.
    "bitsandbytes.backends.cpu.ops": r"Failed to load CPU gemm_4bit_forward",
    # A table of tensors that are missing or too many, with the advice to train those that are "newly
    # initialized". We read the same report, and refuse the base or warn of it in our own words.
    "transformers.modeling_utils": r"(?s)\S+ LOAD REPORT(?!.*CONVERSION)",
}


def calm_libraries() -> None:
    """Silences lines known to be harmless, and progress bars where no terminal shows them."""
    for name, pattern in _HARMLESS.items():
        logging.getLogger(name).addFilter(_Without(pattern))
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def hide_loading_bars() -> None:
    """Hides transformers' bars where no terminal shows them; for when it is imported."""
    from transformers.utils import logging as transformers_logging

    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


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
