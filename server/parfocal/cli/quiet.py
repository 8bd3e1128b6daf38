"""Silences library messages that nobody can use. Real warnings stay."""

import logging
import os
import sys

# Logged on import on CPUs with bfloat16 arithmetic: an optional kernel is absent. We have our own.
_HARMLESS = {"bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward"}


def calm_libraries() -> None:
    """Silences lines known to be harmless, and progress bars where no terminal shows them."""
    for name, beginning in _HARMLESS.items():
        logging.getLogger(name).addFilter(_Without(beginning))
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def hide_loading_bars() -> None:
    """Hides transformers' bars where no terminal shows them; for when it is imported."""
    from transformers.utils import logging as transformers_logging

    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()


class _Without(logging.Filter):
    def __init__(self, beginning: str) -> None:
        super().__init__()
        self._beginning = beginning

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._beginning)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Without) and other._beginning == self._beginning

    def __hash__(self) -> int:
        return hash(self._beginning)
