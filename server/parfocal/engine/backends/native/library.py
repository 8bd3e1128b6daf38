"""The compiled kernels as Python functions. Sizes in C are `long`, places and lengths int64."""

import ctypes
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from parfocal.engine.backends.native.structs import TWINS, layout_fault

FOLDER = Path(__file__).resolve().parent
LIBRARY = FOLDER / "_kernels.so"

log = logging.getLogger(__name__)
_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int


@dataclass(frozen=True, slots=True)
class Library:
    """The kernels; each is documented where it is written. Arguments are addresses and numbers, unchecked."""

    linear: Callable[..., None]
    lora: Callable[..., None]
    attend: Callable[..., int]
    can_attend: Callable[[int], int]
    decode: Callable[[int, int], None]
    rms_norm: Callable[..., None]
    silu_times: Callable[..., None]
    refine: Callable[..., None]
    likeliest: Callable[..., None]
    dense: Callable[..., None]
    threads: Callable[[int], None]
    profile: Callable[[int], None]
    profiled: Callable[[Any], None]


@cache
def load() -> Library | None:
    """The kernels; None, with a warning that says why, where they cannot run."""
    reason = fault(LIBRARY)
    if reason:
        log.warning("no native CPU kernels: %s; using PyTorch: slower", reason)
        return None
    found = ctypes.CDLL(str(LIBRARY))
    return Library(
        linear=_typed(found.parfocal_linear, None, *[_POINTER] * 3, _LONG),
        lora=_typed(found.parfocal_lora, None, *[_POINTER] * 4, *[_LONG] * 5),
        attend=_typed(found.parfocal_attend, _INT, *[_POINTER] * 4, *[_LONG] * 2),
        can_attend=_typed(found.parfocal_can_attend, _INT, _LONG),
        decode=_typed(found.parfocal_decode, None, *[_POINTER] * 2),
        rms_norm=_typed(found.parfocal_rms_norm, None, *[_POINTER] * 3, _LONG, _LONG, _FLOAT),
        silu_times=_typed(found.parfocal_silu_times, None, _POINTER, _POINTER, _LONG),
        refine=_typed(found.parfocal_refine, None, *[_POINTER] * 4, *[_LONG] * 3, _FLOAT),
        likeliest=_typed(found.parfocal_likeliest, None, *[_POINTER] * 3, _LONG, _LONG, _POINTER),
        dense=_typed(found.parfocal_dense, None, *[_POINTER] * 4, *[_LONG] * 3),
        threads=_typed(found.parfocal_threads, None, _INT),
        profile=_typed(found.parfocal_profile, None, _INT),
        profiled=_typed(found.parfocal_profiled, None, _POINTER),
    )


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


def fault(library: Path, twins: Mapping[str, type[ctypes.Structure]] = TWINS) -> str:
    """Why the compiled `library` cannot be used here, or an empty string."""
    if not library.is_file():
        return "they were not compiled when parfocal was installed (g++ is needed)"
    try:
        found = ctypes.CDLL(str(library))
    except OSError as error:
        return f"{library.name} does not load: {error}"
    found.parfocal_sources.restype = ctypes.c_char_p
    if found.parfocal_sources().decode() != sources_digest():
        return f"{library.name} was compiled from other sources; install parfocal again"
    if not found.parfocal_runs_here():
        return "this processor has no AVX-512 VNNI"
    found.parfocal_layouts.restype = ctypes.c_char_p
    drifted = layout_fault(found.parfocal_layouts().decode(), twins)
    return f"{library.name} and its Python twins lie differently in memory: {drifted}" if drifted else ""


def sources_digest() -> str:
    """The digest of the sources beside the library."""
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".h"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
