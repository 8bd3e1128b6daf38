"""torch's own attention is used where it does all that a base needs, and only there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.paged_rows import Drawn, Heads, PagedRows
from parfocal.engine.backends.cuda.attention.varlen import (
    DeviceTrial,
    Need,
    Varlen,
    installed,
    supported,
    varlen_step,
)
from parfocal.engine.model import Scoring

CPU = torch.device("cpu")
NEED = Need(torch.float16, heads=4, kv_heads=2, head_dim=16, block_tokens=3, softcap=None)


class FakeVarlen:
    """Does what torch's documentation says of `varlen_attn`, page by page, in float64.

    With `forgets_window` or `reads_on` it has a fault: it sees the whole context, or the rest of a page.
    """

    def __init__(self, *, forgets_window: bool = False, reads_on: bool = False) -> None:
        self.forgets_window = forgets_window
        self.reads_on = reads_on

    def __call__(  # noqa: PLR0913 - the signature is torch's
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        cu_seq_q: torch.Tensor,
        cu_seq_k: torch.Tensor | None,
        max_q: int,
        max_k: int,
        *,
        scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1),
        enable_gqa: bool = False,
        seqused_k: torch.Tensor | None = None,
        block_table: torch.Tensor | None = None,
    ) -> torch.Tensor:
        assert cu_seq_k is None and seqused_k is not None and block_table is not None and scale is not None
        assert enable_gqa == (query.shape[1] != key.shape[2])
        assert max_q == int(cu_seq_q.diff().max()) and max_k == int(seqused_k.max())
        assert window_size[1] == 0
        before = max_k if self.forgets_window or window_size[0] < 0 else window_size[0]
        group = query.shape[1] // key.shape[2]
        out = torch.empty_like(query)
        for row, used in enumerate(seqused_k.tolist()):
            part = slice(int(cu_seq_q[row]), int(cu_seq_q[row + 1]))
            pages = block_table[row].long()
            k, v = (
                pool[pages].flatten(0, 1).double().repeat_interleave(group, 1).transpose(0, 1)
                for pool in (key, value)
            )
            k, v = k.nan_to_num(), v if self.reads_on else v[:, :used]
            at = torch.arange(v.shape[1], device=v.device)
            own = torch.arange(used, device=v.device)[part.start - part.stop :, None]
            weights = query[part].transpose(0, 1).double() @ k[:, : len(at)].transpose(1, 2) * scale
            weights = weights.masked_fill((at > own) | (at < own - before), -torch.inf).softmax(-1)
            out[part] = (weights @ v).transpose(0, 1).to(out.dtype)
        return out


class Recorded:
    """A trial that says `reason`, or raises it, and counts how often it was asked."""

    def __init__(self, reason: str | RuntimeError = "") -> None:
        self.reason = reason
        self.asked = 0

    def __call__(self, function: Varlen, need: Need) -> str:
        self.asked += 1
        if isinstance(self.reason, RuntimeError):
            raise self.reason
        return self.reason


def older_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, is_causal: bool = False
) -> torch.Tensor:
    raise AssertionError((query, key, value, is_causal))


contexts = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=4)
drawn_rows = st.builds(
    Drawn,
    heads=st.builds(Heads, group=st.sampled_from([1, 3]), dtype=st.just(torch.float16)),
    contexts=contexts,
    block_tokens=st.sampled_from([3, 16]),
    seed=st.integers(0, 1000),
)


@settings(max_examples=25)
@given(drawn_rows, st.none() | st.integers(1, 20))
def test_rows_get_what_the_formula_says(device: torch.device, drawn: Drawn, window: int | None) -> None:
    rows, scoring = PagedRows(drawn, device), Scoring(0.25, window, None)
    step = varlen_step(FakeVarlen(), rows.cache, rows.laid)

    rows.check(step.attend(0, rows.new(), scoring)[0], scoring)


def test_a_function_whose_answers_are_right_is_used() -> None:
    support = supported(FakeVarlen(), NEED, DeviceTrial(CPU))

    assert support.usable
    assert support.reason == ""


@pytest.mark.parametrize("function", [FakeVarlen(forgets_window=True), FakeVarlen(reads_on=True)])
def test_a_function_whose_answers_are_wrong_is_not_used(function: FakeVarlen) -> None:
    support = supported(function, NEED, DeviceTrial(CPU))

    assert not support.usable
    assert "instead of" in support.reason


def test_the_trial_decides_once() -> None:
    trial = Recorded()

    assert supported(FakeVarlen(), NEED, trial).usable
    assert trial.asked == 1


def test_what_the_device_says_against_it_is_kept() -> None:
    trial = Recorded(RuntimeError("paged attention needs FlashAttention 3"))

    support = supported(FakeVarlen(), NEED, trial)

    assert not support.usable
    assert support.reason == "a trial on this device failed: paged attention needs FlashAttention 3"


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        (Need(torch.float32, 4, 2, 16, 3, None), "not in torch.float32"),
        (Need(torch.float16, 4, 2, 12, 3, None), "not of 12"),
        (Need(torch.float16, 4, 2, 264, 3, None), "not of 264"),
        (Need(torch.float16, 4, 2, 16, 3, 30.0), "no soft cap"),
    ],
)
def test_what_it_cannot_compute_is_not_tried(need: Need, reason: str) -> None:
    trial = Recorded()

    support = supported(FakeVarlen(), need, trial)

    assert not support.usable
    assert reason in support.reason
    assert trial.asked == 0


def test_a_torch_without_the_parameters_is_not_tried() -> None:
    trial = Recorded()

    support = supported(older_varlen, NEED, trial)  # type: ignore[arg-type] # what an older torch has

    assert support.reason == (
        "this torch's varlen_attn has no block_table, enable_gqa, scale, seqused_k, window_size"
    )
    assert supported(None, NEED, trial).reason == "this torch has no torch.nn.attention.varlen"
    assert trial.asked == 0


def test_torchs_own_function_is_not_used_on_a_cpu_and_says_why() -> None:
    support = supported(installed(), NEED, DeviceTrial(CPU))

    assert not support.usable
    assert "torch" in support.reason or "trial" in support.reason
    assert len(support.reason) < 300
