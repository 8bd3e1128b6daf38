"""Which of a run's processes this one is, as its launcher says in the environment. No torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.training.errors import InvalidConfig

_MOST = 4096
_SHARDING = {
    "ACCELERATE_USE_FSDP": (
        "FSDP",
        "it shards weights of a floating type, and the 4-bit base keeps its own in bytes, as it serves them",
    ),
    "ACCELERATE_USE_DEEPSPEED": (
        "DeepSpeed",
        "it keeps gradients where the proof that every layer learns does not see them",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """This process is number `rank` of `size`, and number `local_rank` on its machine.

    Number 0 leads: it alone writes, reports and publishes.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank} of {self.size}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Place":
        """Reads RANK, WORLD_SIZE and LOCAL_RANK; without them the process is alone.

        Raises:
            InvalidConfig: they contradict each other, or nothing says where the others meet.
        """
        found = os.environ if environment is None else environment
        size = _number(found, "WORLD_SIZE", 1)
        if size <= 1:
            return cls()
        rank = _number(found, "RANK", -1)
        if not 0 <= rank < size <= _MOST:
            raise InvalidConfig(
                f"RANK is {found.get('RANK', 'not set')!r:.20} with WORLD_SIZE {size}; start the run with "
                "torchrun or accelerate launch, which set both",
                field="device",
            )
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not found.get(name):
                raise InvalidConfig(
                    f"WORLD_SIZE is {size} and {name} is not set, so the processes cannot meet; start the "
                    "run with torchrun or accelerate launch",
                    field="device",
                )
        return cls(rank, size, _number(found, "LOCAL_RANK", rank))


def refuse_sharding(environment: Mapping[str, str] | None = None) -> None:
    """Refuses by name what would take a run's weights or gradients apart; raises InvalidConfig."""
    found = os.environ if environment is None else environment
    for variable, (name, reason) in _SHARDING.items():
        if found.get(variable, "").lower() in ("1", "true", "yes"):
            raise InvalidConfig(
                f"{variable} is set, and training does not run under {name}: {reason}; launch with "
                "--multi_gpu (DDP): each process holds the whole 4-bit base, only the adapter is averaged",
                field="device",
            )


def _number(found: Mapping[str, str], name: str, default: int) -> int:
    text = found.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise InvalidConfig(
            f"{name} is {text[:20]!r}, which is no number; torchrun and accelerate launch set it",
            field="device",
        ) from error
