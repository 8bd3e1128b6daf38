"""From a source to kernels on a card: compiled once, then read from disk."""

import logging
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

from parfocal.engine.backends.cuda.nvrtc.compiler import Compiler, Source, find_nvrtc
from parfocal.engine.backends.cuda.nvrtc.cubins import Cubins
from parfocal.engine.backends.cuda.nvrtc.driver import Driver, Module, find_driver
from parfocal.engine.backends.cuda.nvrtc.target import Target

log = logging.getLogger(__name__)


class Builder:
    """Builds kernels with a compiler and a driver, which are sought when they are first needed."""

    def __init__(
        self,
        cubins: Cubins,
        compiler: Callable[[], Compiler] = find_nvrtc,
        driver: Callable[[], Driver] = find_driver,
    ) -> None:
        self._cubins, self._compiler, self._driver = cubins, compiler, driver

    def build(self, source: Source, target: Target, options: Sequence[str]) -> Module:
        """The kernels of a source, for the current context's card.

        Raises OSError where there is no compiler or no driver, CompilerFailed and DriverFailed.
        """
        cubin = self.cubin(source, target, options)
        return self._driver().load(cubin)

    def cubin(self, source: Source, target: Target, options: Sequence[str]) -> bytes:
        """What `build` loads."""
        compiler = self._compiler()
        told = [f"--gpu-architecture={target.architecture}", "--std=c++17", *options]
        key = _key(compiler.name, source, told)
        cubin = self._cubins.get(key)
        if cubin is None:
            begun = time.monotonic()
            cubin = compiler.compile(source, told)
            log.info(
                "compiled %s for %s in %.1f s", source.name, target.architecture, time.monotonic() - begun
            )
            self._cubins.put(key, cubin)
        return cubin


def _key(compiler: str, source: Source, options: Sequence[str]) -> str:
    """What everything that a cubin is made of is known by."""
    parts = [compiler.encode(), *(option.encode() for option in options), source.name.encode(), source.text]
    parts += [part for name, text in sorted(source.headers.items()) for part in (name.encode(), text)]
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"{digest.hexdigest()}.cubin"
