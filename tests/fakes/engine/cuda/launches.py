"""What a GPU would be asked to launch, written down in order, while kernels run in Triton's interpreter."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Self

from torch.utils._python_dispatch import TorchDispatchMode

from parfocal.engine.backends.cuda.attention import kernels as attention_kernels
from parfocal.engine.backends.cuda.four_bit import kernels as four_bit_kernels
from parfocal.engine.backends.cuda.fused import kernels as fused_kernels
from parfocal.engine.backends.cuda.lora import kernels as lora_kernels
from parfocal.engine.backends.cuda.sampling import kernels as sampling_kernels

KERNELS: list[Any] = [
    *(attention_kernels.store_kernel, attention_kernels.decode_kernel, attention_kernels.combine_kernel),
    *(four_bit_kernels.product_kernel, four_bit_kernels.sum_kernel, lora_kernels.shrink, lora_kernels.expand),
    *(fused_kernels.norm_kernel, fused_kernels.rotate_kernel),
    *(fused_kernels.gate_kernel, fused_kernels.joint_kernel),
    *(sampling_kernels.likeliest_kernel, sampling_kernels.draw_kernel, sampling_kernels.bend_kernel),
]
# What torch does on the host: memory, and other looks at the same numbers.
_FREE = frozenset(
    [
        "alias",
        "as_strided",
        "chunk",
        "detach",
        "empty",
        "empty_like",
        "expand",
        "flatten",
        "lift_fresh",
        "new_empty",
        "permute",
        "reshape",
        "select",
        "set_",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "t",
        "transpose",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
    ]
)


class Launches(TorchDispatchMode):
    """While it is open, `names` gets each kernel of ours and each operation of torch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self._hooks: list[Callable[..., None]] = []

    def __enter__(self) -> Self:
        for kernel in KERNELS:
            self._hooks.append(partial(self._launched, kernel.__name__))
            kernel.add_pre_run_hook(self._hooks[-1])
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        for kernel, hook in zip(KERNELS, self._hooks, strict=True):
            kernel.pre_run_hooks.remove(hook)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name not in _FREE and not _is_interpreting(sys._getframe()):
            self.names.append(name)
        return func(*args, **(kwargs or {}))

    def _launched(self, name: str, *_: object, **__: object) -> None:
        self.names.append(name)


def _is_interpreting(frame: FrameType | None) -> bool:
    """Whether the interpreter asks, which keeps kernels' arguments as tensors of its own."""
    while frame is not None:
        if frame.f_code.co_filename.endswith("triton/runtime/interpreter.py"):
            return True
        frame = frame.f_back
    return False
