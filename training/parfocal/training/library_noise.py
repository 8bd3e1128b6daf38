"""Keeps libraries from writing over our own progress. Hides only harmless output."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# bitsandbytes says at import that an optional faster kernel is not installed.
_CHATTY = ("bitsandbytes.backends.cpu.ops",)
# peft 0.21 and trl 1.16 still use names that transformers 5.23 has renamed; nothing here depends on them.
_RENAMED = r".*gradient_checkpointing`? is deprecated.*"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hides known warnings, an import-time log line and the weight-loading bar while the scope lasts."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_RENAMED, category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
