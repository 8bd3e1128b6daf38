"""Decode steps by graph: which one runs, what it reads, and what happens where one cannot be captured."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.lora import Adapters
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs, Parts, decode_inputs, input_bytes
from parfocal.engine.backends.cuda.steps.graphs import (
    DecodeGraphs,
    GraphForward,
    GraphLimits,
    Replay,
    buckets,
)
from parfocal.engine.scheduling.plan import LaidRow, Plan, PlanRow, lay_out
from parfocal.engine.stopwatch import Stopwatch

CPU = torch.device("cpu")
LIMITS = GraphLimits(rows=8, most_blocks=3, block_tokens=4)


class Recorder:
    """A step whose logits tell what it read, and a capturer that runs instead of replaying."""

    def __init__(self) -> None:
        self.captured: list[tuple[int, Adapters]] = []
        self.replayed: list[tuple[int, Adapters]] = []
        self.seen: dict[str, list[object]] = {}
        self.broken = False
        self._running: list[tuple[int, Adapters]] = self.captured

    def decode(self, inputs: DecodeInputs, adapters: Adapters) -> torch.Tensor:
        self._running.append((inputs.rows, adapters))
        self.seen = {
            name: getattr(inputs.device, name).tolist()
            for name in ("ids", "positions", "written", "lengths", "blocks")
        }
        self.seen["tiles"] = inputs.tiles(shared=False).table.tolist()
        return torch.stack([inputs.device.ids.float(), inputs.device.positions.float()], dim=1)

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing")
        self._running = self.captured
        run()

        def replay() -> torch.Tensor:
            self._running = self.replayed
            return run()

        return replay


class Eager:
    """A forward that only counts."""

    def __init__(self) -> None:
        self.steps = 0

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        self.steps += 1
        return torch.full((len(last), 2), -1.0)

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        return torch.full((len(places), 4), -2.0)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        return torch.full((len(states), 2), -3.0)


def row(token: int, start: int, blocks: tuple[int, ...], slot: int | None = None, tokens: int = 1) -> PlanRow:
    place = None if slot is None else Place(0, slot)
    return PlanRow(f"r{token}", (token,) * tokens, start, blocks, place, None)


def laid(*rows: PlanRow) -> list[LaidRow]:
    return lay_out(Plan(rows))


def graphs(recorder: Recorder, limits: GraphLimits = LIMITS) -> DecodeGraphs:
    made = DecodeGraphs(recorder, recorder, limits, CPU)
    made.capture()
    return made


@pytest.mark.parametrize("most", [1, 2, 5, 8, 40, 64, 300])
def test_every_number_of_rows_has_a_graph_that_is_at_most_twice_as_large(most: int) -> None:
    sizes = buckets(most)

    assert sizes == sorted(set(sizes)) and sizes[-1] == most
    for rows in range(1, most + 1):
        assert rows <= min(size for size in sizes if size >= rows) < 2 * rows + 1


def test_each_size_is_captured_with_adapters_and_without() -> None:
    recorder = Recorder()
    graphs(recorder)

    assert sorted(recorder.captured, key=lambda one: (one[0], one[1].name)) == [
        (rows, adapters) for rows in (1, 2, 4, 8) for adapters in (Adapters.BY_ROW, Adapters.NONE)
    ]


def test_the_smallest_graph_with_room_is_replayed_and_empty_rows_do_nothing() -> None:
    recorder = Recorder()
    made = graphs(recorder)
    logits = made.logits(laid(row(11, 5, (7, 2)), row(12, 0, (9,)), row(13, 8, (1, 3, 4))))

    assert logits is not None and logits.tolist() == [[11.0, 5.0], [12.0, 0.0], [13.0, 8.0]]
    assert recorder.replayed == [(4, Adapters.NONE)]
    assert recorder.seen["written"] == [2 * 4 + 1, 9 * 4, 4 * 4, -1]
    assert recorder.seen["lengths"] == [6, 1, 9, 0]
    assert [blocks[:used] for blocks, used in zip(recorder.seen["blocks"], (2, 1, 3), strict=False)] == [  # type: ignore[index]
        [7, 2],
        [9],
        [1, 3, 4],
    ]


def test_rows_of_one_adapter_share_a_tile_and_the_other_tiles_are_empty() -> None:
    recorder = Recorder()
    made = graphs(recorder)
    made.logits(
        laid(row(1, 0, (0,)), row(2, 0, (1,), slot=5), row(3, 0, (2,), slot=0), row(4, 0, (3,), slot=5))
    )

    assert recorder.replayed == [(4, Adapters.BY_ROW)]
    assert recorder.seen["tiles"] == [[0, 0, 1], [5, 1, 2], [-1, 0, 0], [-1, 0, 0]]


def test_rows_that_share_adapters_take_a_graph_of_their_own_where_that_is_captured() -> None:
    alike = laid(*(row(token, 0, (0,), slot=token % 2) for token in range(30)))
    apart = laid(*(row(token, 0, (0,), slot=token) for token in range(30)))
    few = laid(*(row(token, 0, (0,), slot=0) for token in range(8)))
    for shares, kind in ((True, Adapters.SHARED), (False, Adapters.BY_ROW)):
        recorder = Recorder()
        made = graphs(recorder, GraphLimits(32, most_blocks=1, block_tokens=4, shares=shares))
        for step in (alike, apart, few):
            made.logits(step)
        assert recorder.replayed == [(32, kind), (32, Adapters.BY_ROW), (8, Adapters.BY_ROW)]


def test_nothing_of_a_step_before_is_left_in_the_next() -> None:
    recorder = Recorder()
    made = graphs(recorder)
    made.logits(laid(*(row(token, 3, (token,), slot=token) for token in range(4))))
    made.logits(laid(*(row(token, 0, (8,)) for token in range(3))))
    made.logits(laid(row(1, 0, (8,), slot=1), row(2, 0, (8,)), row(3, 0, (8,))))

    assert recorder.seen["lengths"] == [1, 1, 1, 0]
    assert recorder.seen["tiles"] == [[1, 0, 1], [-1, 0, 0], [-1, 0, 0], [-1, 0, 0]]


@given(
    st.lists(
        st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=8), max_size=8
    )
)
def test_whatever_rows_came_before_each_reads_its_own_blocks(steps: list[list[list[int]]]) -> None:
    recorder = Recorder()
    made = graphs(recorder)
    for step in steps:
        rows = [row(token, 4 * len(blocks) - 1, tuple(blocks)) for token, blocks in enumerate(step)]
        made.logits(laid(*rows))
        seen: list[list[int]] = recorder.seen["blocks"]  # type: ignore[assignment]
        assert [read[: len(blocks)] for read, blocks in zip(seen, step, strict=False)] == step


def test_prompts_and_steps_larger_than_any_graph_go_the_ordinary_way() -> None:
    recorder, eager = Recorder(), Eager()
    forward = GraphForward(eager, graphs(recorder), Stopwatch())
    forward.logits(laid(row(1, 0, (0,), tokens=3)), [2])
    forward.logits(laid(*(row(token, 0, (0,)) for token in range(9))), list(range(9)))

    assert (eager.steps, recorder.replayed) == (2, [])


def test_a_step_takes_tokens_that_only_the_device_knows() -> None:
    recorder = Recorder()
    forward = GraphForward(Eager(), graphs(recorder), Stopwatch())
    drawn = torch.tensor([41, -1, 43])
    step = laid(*(row(token, 7, (0, 1)) for token in (1, 2, 3)))

    found = forward.follow(step, drawn, [2, 0, 1])

    assert found is not None and found.tolist() == [[43.0, 7.0], [41.0, 7.0], [0.0, 7.0]]
    assert recorder.seen["ids"] == [43, 41, 0, 0]
    assert forward.follow(laid(*(row(token, 0, (0,)) for token in range(9))), drawn, [0] * 9) is None


def test_a_step_that_is_laid_out_leaves_the_one_before_as_it_lies_on_the_host() -> None:
    inputs = decode_inputs(2, 3, torch.empty(Parts.size(2, 3), dtype=torch.int32))
    inputs.fill(laid(row(1, 0, (5,)), row(2, 9, (6, 7, 8))), 4)
    waiting = inputs.sides[1].values
    kept = waiting.clone()
    inputs.fill(laid(row(3, 1, (9,)), row(4, 2, (2,))), 4)

    assert torch.equal(waiting, kept)
    assert inputs.device.ids.tolist() == [3, 4]


def test_prompts_are_read_the_ordinary_way_also_in_decode_steps() -> None:
    recorder = Recorder()
    forward = GraphForward(Eager(), graphs(recorder), Stopwatch())
    states = forward.states(laid(row(1, 0, (0,)), row(2, 0, (0,))), [0, 1])

    assert states.unique().tolist() == [-2.0]
    assert forward.head(states).unique().tolist() == [-3.0]
    assert recorder.replayed == []


def test_only_the_places_that_are_asked_for_come_back() -> None:
    forward = GraphForward(Eager(), graphs(Recorder()), Stopwatch())
    step = laid(*(row(token, 0, (0,)) for token in (21, 22, 23)))

    assert forward.logits(step, [0, 2])[:, 0].tolist() == [21.0, 23.0]
    assert forward.logits(step, [0, 1, 2])[:, 0].tolist() == [21.0, 22.0, 23.0]


def test_when_time_is_up_small_steps_take_a_larger_graph() -> None:
    recorder = Recorder()
    made = DecodeGraphs(recorder, recorder, LIMITS, CPU)
    times = iter([0.0, 0.0, 40.0, 40.0, 40.0])
    made.capture(lambda: next(times))
    made.logits(laid(row(1, 0, (0,))))

    assert len(made) == 2
    assert recorder.replayed == [(8, Adapters.NONE)]


def test_a_step_that_cannot_be_captured_is_told() -> None:
    recorder = Recorder()
    recorder.broken = True
    made = DecodeGraphs(recorder, recorder, LIMITS, CPU)

    with pytest.raises(RuntimeError, match="not permitted"):
        made.capture()
    assert len(made) == 0
    assert made.logits(laid(row(1, 0, (0,)))) is None


class Keeping(Recorder):
    """Keeps what graphs keep for as long as they live: what they read and what they return."""

    def __init__(self, vocabulary: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.numbers, self.dtype = vocabulary, dtype
        self.kept: dict[int, int] = {}

    def decode(self, inputs: DecodeInputs, adapters: Adapters) -> torch.Tensor:
        self._keep(inputs.device_values)
        return torch.zeros(inputs.rows, self.numbers, dtype=self.dtype)

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        output = run()
        self._keep(output)
        assert output.dtype is torch.float32
        return lambda: output

    def _keep(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self.kept[storage.data_ptr()] = storage.nbytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 64, 256, 512])
def test_graphs_of_all_sizes_keep_no_more_than_the_largest(rows: int, dtype: torch.dtype) -> None:
    keeping, limits = Keeping(50, dtype), GraphLimits(rows, most_blocks=30, block_tokens=4)
    made = DecodeGraphs(keeping, keeping, limits, CPU)
    made.capture()

    assert len(made) == 2 * len(buckets(rows))
    assert sorted(keeping.kept.values()) == sorted([rows * 50 * 4, input_bytes(rows, 30)])


def test_a_capture_that_fails_at_a_smaller_size_keeps_none() -> None:
    recorder = Recorder()
    made = DecodeGraphs(recorder, recorder, LIMITS, CPU)
    times = iter([0.0, 0.0, 0.0])

    def clock() -> float:
        recorder.broken = next(times, None) is None
        return 0.0

    with pytest.raises(RuntimeError, match="not permitted"):
        made.capture(clock)
    assert recorder.captured
    assert len(made) == 0
