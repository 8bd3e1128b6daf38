"""On a GPU: the device has left a step when its run is over, though nobody reads what it computed."""

from collections.abc import Callable

import pytest
import torch

from parfocal.engine.backends.torch import TorchBackend
from parfocal.engine.devices import device_at
from parfocal.engine.model import Runner
from parfocal.engine.scheduling import LaidRow, Plan, PlanRow

pytestmark = pytest.mark.gpu

_PRODUCTS = 40
_SIZE = 8192


class SlowForward:
    """Queues products that take the device far longer than it takes to queue them; then fails, if told to."""

    def __init__(self, device: torch.device, *, fails: bool) -> None:
        self._big = torch.randn(_SIZE, _SIZE, device=device)
        self._fails = fails

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns what nobody reads."""
        for _ in range(_PRODUCTS):
            self._big = (self._big @ self._big).clamp(-1, 1)
        if self._fails:
            raise RuntimeError("out of memory")
        return self._big

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """Returns what nobody reads."""
        return self.logits(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """Returns what nobody reads."""
        return states


@pytest.mark.parametrize("fails", [False, True], ids=["draws nothing", "fails"])
def test_the_device_has_left_a_step_that_nobody_reads(fails: bool) -> None:
    at = torch.device("cuda", 0)
    runner = Runner(SlowForward(at, fails=fails), TorchBackend(device_at(at), torch.float32))
    seen: list[bool] = []
    idle: Callable[[], bool] = torch.cuda.current_stream(at).query
    plan = Plan((PlanRow("r", (1, 2, 3), 0, (0,), None, None),))
    if fails:
        with pytest.raises(RuntimeError, match="out of memory"):
            runner.run(plan, lambda: seen.append(idle()))
    else:
        runner.run(plan, lambda: seen.append(idle()))
        assert seen == [False], "the device was done before it was waited for: the test shows nothing"

    assert idle()
