"""A prompt step's numbers go to the device in one copy, and nothing of it makes the caller wait."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.engine.cuda.loaded_base import loaded_base
from fakes.engine.watched_card import CARD, watched_card
from oracle.bases import configurations, write_base
from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda.attention import CudaAttention
from parfocal.engine.backends.cuda.fused.decoder import StoredAttention
from parfocal.engine.backends.cuda.fused.forward import FusedStates
from parfocal.engine.backends.cuda.groups import columns_of, groups_of
from parfocal.engine.backends.cuda.lora import CudaLora, PageStore, Room, StoreShape, Unguarded
from parfocal.engine.backends.cuda.sending import OneCopy, each_by_itself
from parfocal.engine.backends.cuda.steps import CudaStepWork
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.model import KvCache, query_heads
from parfocal.engine.scheduling import Plan, PlanRow, lay_out

RANK = 8


class NoLayers:
    """Layers that compute nothing."""

    def states(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: StoredAttention
    ) -> torch.Tensor:
        """States of so many tokens."""
        assert lora is not None and ids.shape == positions.shape == attention.written.shape
        return torch.empty(len(ids), 4, device=CARD)


@pytest.mark.parametrize("tokens", [5, 40], ids=["short", "long"])
def test_a_prompt_step_takes_one_copy_and_waits_for_nothing(tokens: int, tmp_path: Path) -> None:
    base = loaded_base(write_base(tmp_path / "base", configurations()["llama"]), torch.device("cpu"))
    shape = StoreShape(base.shapes, base.adapter_dtype, RANK, CARD)
    store = PageStore(columns_of(groups_of(base.shapes)), shape, Room(1, shape.page_bytes), PlainCopies())
    cache = KvCache(base.kv_shape, 4, 16, CARD)
    attention = CudaAttention(cache, query_heads(base), 4)
    work = CudaStepWork(store, RANK, attention.step, Unguarded())
    states = FusedStates(replace(base, device=CARD), NoLayers(), work)
    laid = lay_out(
        Plan(
            (
                PlanRow("prompt", (1,) * tokens, 0, (0, 1, 2), Place(0, 0), None),
                PlanRow("answer", (2,), 3, (3,), None, None),
            )
        )
    )

    with watched_card() as card:
        found = states(laid, [tokens - 1, tokens])

    assert found.shape == (2, 4)
    assert (card.copies, card.waits) == (1, [])


def test_numbers_are_there_once_they_are_sent_each_where_a_vector_begins(device: torch.device) -> None:
    inputs = OneCopy(device)
    table, none = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int32), torch.empty(0, 3)
    parts = [inputs(table), inputs.numbers([7]), inputs.numbers(range(40)), inputs(none)]
    inputs.send()

    assert [part.tolist() for part in parts] == [table.tolist(), [7], list(range(40)), []]
    assert parts[-1].shape == (0, 3)
    assert [part.data_ptr() % 16 for part in parts[:3]] == [0, 0, 0]


def test_what_finds_no_room_takes_a_copy_more(device: torch.device) -> None:
    inputs = OneCopy(device, room=64)
    parts = [inputs.numbers(range(count)) for count in (60, 1, 100, 2)]
    inputs.send()

    assert [part.tolist() for part in parts] == [list(range(count)) for count in (60, 1, 100, 2)]


def test_a_part_by_itself_makes_nobody_wait_either() -> None:
    with watched_card() as card:
        each_by_itself(CARD)(torch.tensor([1, 2]))

    assert (card.copies, card.waits) == (1, [])
