"""How large everything is: on a GPU, and in a dry run on any CPU, which only shows that all parts run."""

from dataclasses import dataclass

from parfocal.bench.workloads.shapes import Shape
from parfocal.bench.workloads.workload import Workload


@dataclass(frozen=True, slots=True)
class Large:
    """What must fit on a card: a base, requests on so many adapters, and a training step.

    `train_rows` `[rows, tokens]` are what the step learns.
    """

    shape: Shape
    adapters: int
    rank: int
    prompt_tokens: int
    new_tokens: int
    train_rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of one run of the stand.

    `mixed` is the load that goes through gRPC, in process and through PEFT; of `many` only few adapters have
    a slot. `rows` are the batches of decode steps; `peft_steps` tokens are drawn by PEFT, which is slow, and
    the rest is reckoned. `train_rows` `[rows, tokens]` are what a training step learns.
    """

    device: str
    mixed: Workload
    many: Workload
    rows: tuple[int, ...]
    large: Large
    kernels: str = "auto"
    kv_width: int = 2
    load_threads: int = 8
    peft_steps: int = 8
    cold_adapters: int = 8
    cold_loads: int = 64
    train_rows: tuple[int, int] = (4, 256)
    train_steps: int = 8

    @property
    def shape(self) -> str:
        """Returns the name of the base's shape."""
        return self.mixed.shape


GPU = Scale(
    device="cuda",
    mixed=Workload(
        "llama-8b", requests=64, adapters=64, rank=16, prompt_tokens=512, new_tokens=128, repeats=2
    ),
    many=Workload(
        "llama-8b",
        requests=192,
        adapters=512,
        rank=16,
        prompt_tokens=128,
        new_tokens=32,
        slots=32,
        zipf=1.0,
        rate_share=0.5,
        repeats=1,
    ),
    rows=(1, 8, 32, 64),
    # Llama 2's of 70 B.
    large=Large(
        Shape("llama-70b", 8192, 28672, 80, 64, 8, 32000, 4096, tied=False),
        adapters=16,
        rank=16,
        prompt_tokens=128,
        new_tokens=32,
        train_rows=(1, 512),
    ),
)
# Without native kernels, so that what runs is what runs on a GPU that has none.
DRY = Scale(
    device="cpu",
    mixed=Workload(
        "llama-test", requests=4, adapters=4, rank=4, prompt_tokens=24, new_tokens=6, kernels="torch"
    ),
    many=Workload(
        "llama-test",
        requests=12,
        adapters=8,
        rank=4,
        prompt_tokens=12,
        new_tokens=4,
        kernels="torch",
        slots=2,
        zipf=1.0,
        rate_share=0.5,
    ),
    rows=(1, 2, 4),
    large=Large(
        Shape("llama-test", 128, 192, 2, 4, 2, 512, 512, tied=False),
        adapters=3,
        rank=4,
        prompt_tokens=12,
        new_tokens=3,
        train_rows=(1, 16),
    ),
    kernels="torch",
    kv_width=4,
    load_threads=2,
    peft_steps=3,
    cold_adapters=3,
    cold_loads=9,
    train_rows=(2, 16),
    train_steps=4,
)
