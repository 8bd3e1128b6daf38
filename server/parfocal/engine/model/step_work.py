"""What prepares a step's LoRA work and attention: torch everywhere, faster kernels where available."""

from typing import Protocol

from parfocal.engine.lora import LoraWork
from parfocal.engine.model.attention import AttentionWork
from parfocal.engine.scheduling import LaidRow


class StepWork(Protocol):
    """Prepares what all layers of one step share."""

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """The rows' LoRA work; None if no row uses an adapter."""

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """The rows' attention."""
