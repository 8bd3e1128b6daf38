"""Triton's interpreter without what it does again and again: that was most of its time with small kernels.

Before every launch, and before every call between functions of a kernel, `sum` and `max` among them, it goes
through all names of the language and gives each its interpreted meaning. Here they get it once. It also adds
and multiplies all integers twice, to see whether 32 bits are too few: in tests, nothing is that large.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import triton.language as tl
from triton.runtime import interpreter


@contextmanager
def readied() -> Iterator[None]:
    """Gives the language its interpreted meaning until the end; changes nothing of what kernels compute."""
    give = getattr(interpreter, "_patch_lang", None)
    if give is None:  # another release of Triton: slower, with the same answers
        yield
        return
    given = give(SimpleNamespace(__globals__={"tl": tl, "core": tl.core}))
    interpreter._patch_lang = lambda function: interpreter._LangPatchScope()
    builder = interpreter.interpreter_builder
    usual = builder.options
    builder.options = replace(usual, sanitize_overflow=False)
    try:
        yield
    finally:
        builder.options = usual
        interpreter._patch_lang = give
        given.restore()
