"""Gives freed memory back to the system. Knows no torch."""

import ctypes


def give_back_memory() -> None:
    """Lets the C library return what it keeps of freed memory, where it can (glibc).

    After training it keeps hundreds of megabytes in pieces, which what follows does not fit into.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
