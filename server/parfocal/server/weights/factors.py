"""The factors of an adapter, one module at a time, out of a verified folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from parfocal.registry import TargetModule, Version
from parfocal.registry.peft import SafetensorsHeader, TensorSpan, read_header

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_STORED = {"F32": "<f4", "F16": "<f2"}

Matrix = NDArray[np.float64]


class Factors:
    """An open adapter; what it changes a module by is scale * B A."""

    def __init__(self, version: Version, file: BinaryIO, header: SafetensorsHeader) -> None:
        contract = version.manifest.contract
        self.targets = {target.path: target for target in contract.targets}
        self._rslora = contract.use_rslora
        self._file = file
        self._header = header

    def of(self, path: str) -> tuple[Matrix, Matrix]:
        """A `[rank, in_features]`, and scale * B `[out_features, rank]`; raises OSError."""
        target = self.targets[path]
        a = self._matrix(target, "A", (target.rank, target.in_features))
        b = self._matrix(target, "B", (target.out_features, target.rank))
        return a, b * target.scale(self._rslora)

    def _matrix(self, target: TargetModule, side: str, shape: tuple[int, int]) -> Matrix:
        span = self._header.tensors.get(f"{_PREFIX}{target.path}.lora_{side}.weight")
        if span is None or span.shape != shape:
            raise OSError(f"the weights of {target.path} are not those that the manifest tells of")
        self._file.seek(span.begin)
        data = self._file.read(span.end - span.begin)
        if len(data) != span.end - span.begin:
            raise OSError(f"{self._file.name} became shorter while it was read")
        return _numbers(data, span).reshape(shape)


@contextmanager
def open_factors(version: Version, folder: Path) -> Iterator[Factors]:
    """Opens a version's weights in its folder; raises OSError and MalformedFile."""
    with (folder / _WEIGHTS).open("rb") as file:
        yield Factors(version, file, read_header(file, _WEIGHTS))


def _numbers(data: bytes, span: TensorSpan) -> NDArray[np.float64]:
    if span.dtype == "BF16":  # the upper half of a float32
        halves: NDArray[Any] = np.frombuffer(data, "<u2").astype("<u4") << 16
        return halves.view("<f4").astype(np.float64)
    if span.dtype not in _STORED:
        raise OSError(f"weights stored as {span.dtype} cannot be compared")
    return np.frombuffer(data, _STORED[span.dtype]).astype(np.float64)
