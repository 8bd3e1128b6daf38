"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues and no requests' ends.
"""

import threading

import torch

from .base import ResidentBase
from .laid_plan import LaidRow, lay_out
from .plan import Plan
from .sampler import Sampler
from .sampling_row import SampledToken
from .step_work import StepWork


class Runner:
    """Runs plans on the resident base. The rows of a batch are independent of each other."""

    def __init__(self, base: ResidentBase, work: StepWork) -> None:
        self._base = base
        self._work = work
        self._sampler = Sampler()
        # The native kernels have threads of their own; torch's would only be in their way.
        self._cpu_threads = 1 if base.native else torch.get_num_threads()
        self._stepping: int | None = None

    @torch.inference_mode()
    def run(self, plan: Plan) -> list[SampledToken | None]:
        """Returns the drawn token of each row, in the plan's order; None where a prompt is unfinished."""
        self._take_cpus()
        laid = lay_out(plan)
        drawing = [item for item in laid if item.row.sampling is not None]
        logits = self._forward(laid, [item.end - 1 for item in drawing])
        result: list[SampledToken | None] = [None] * len(plan.rows)
        if drawing:
            rows = [item.row.sampling for item in drawing if item.row.sampling is not None]
            for item, token in zip(drawing, self._sampler.sample(logits, rows), strict=True):
                result[item.order] = token
        return result

    def _take_cpus(self) -> None:
        """Gives the stepping thread all CPUs: a thread that loads adapters has told torch to use one."""
        if self._stepping != threading.get_ident():
            self._stepping = threading.get_ident()
            torch.set_num_threads(self._cpu_threads)

    def _forward(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns the logits `[drawing rows, vocabulary]` of the batch places `last`."""
        device = self._base.device
        ids = torch.tensor([[t for item in laid for t in item.row.token_ids]], device=device)
        at = [p for item in laid for p in range(item.row.start, item.length)]
        self._base.active.batch = self._work.lora(laid)
        output = self._base.model(
            input_ids=ids,
            position_ids=torch.tensor([at], device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(last or [0], device=device),
            step=self._work.attention(laid),
        )
        logits: torch.Tensor = output.logits[0]
        return logits.float()
