"""Where adapters' shrink runs: every way leaves the same bits, and the fastest that is right is taken."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch

from fakes.engine.cuda.launches import Launches
from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.four_bit import JoinedLinear4bit, Serving, TritonProduct, Way
from parfocal.engine.backends.cuda.four_bit.blocked import Blocked
from parfocal.engine.backends.cuda.four_bit.levels import nf4_levels
from parfocal.engine.backends.cuda.four_bit.linears import by_kernels
from parfocal.engine.backends.cuda.fused.projection import Projection
from parfocal.engine.backends.cuda.fused.shrink_choice import Examples, Timing, choose_shrinking
from parfocal.engine.backends.cuda.fused.shrinking import InOneLaunch, InTurn, OnTwoStreams, Shrinking
from parfocal.engine.backends.cuda.lora import (
    SHORT,
    CudaLora,
    LinearGroup,
    PageStore,
    Room,
    ShrinkLaunch,
    StoreShape,
    Tiles,
    padded,
)
from parfocal.engine.lora import ActiveAdapters, LoraWeights, ModuleWeights
from parfocal.engine.lora.copies import PlainCopies

SIZES = (40, 8, 8)
INPUTS, RANK, BASE = 192, 19, -1


class Side:
    """A second stream that runs at once, and notes when it parts, works and joins."""

    def __init__(self, events: list[str], fault: str = "") -> None:
        self._events = events
        self._fault = fault

    def part(self) -> None:
        if self._fault:
            raise RuntimeError(self._fault)
        self._events.append("part")

    @contextmanager
    def queued(self) -> Iterator[None]:
        self._events.append("beside")
        yield
        self._events.append("back")

    def join(self) -> None:
        self._events.append("join")


class WatchedLora(CudaLora):
    """Notes when the shrink's result gets its memory."""

    events: list[str]

    def shrinking(self, x: torch.Tensor, paths: Sequence[str]) -> ShrinkLaunch:
        self.events.append("room")
        return super().shrinking(x, paths)


class Setting:
    """Three linears on one input, joined, and an adapter of all of them."""

    def __init__(self, device: torch.device) -> None:
        draw = torch.Generator().manual_seed(2)
        codes = torch.randint(256, (INPUTS // 64, sum(SIZES), 32), generator=draw).to(torch.uint8)
        scales = torch.rand(INPUTS // 64, sum(SIZES), generator=draw)
        levels = nf4_levels().to(device)
        whole = Blocked(codes.to(device), scales.to(device), levels, None, SIZES, torch.float32)
        shapes = {f"linear{number}": (INPUTS, size) for number, size in enumerate(SIZES)}
        shape = StoreShape(shapes, torch.float32, RANK, device)
        self.store = PageStore(
            list(shapes), shape, Room(1, shape.most_pages * shape.page_bytes), PlainCopies()
        )
        modules = {
            path: ModuleWeights(
                torch.randn(RANK, wide, generator=draw), torch.randn(tall, RANK, generator=draw)
            )
            for path, (wide, tall) in shapes.items()
        }
        self.place = self.store.copy_in(self.store.lay_out(LoraWeights("adapter", modules)))
        served = JoinedLinear4bit(whole, Serving(TritonProduct(Way.LEVELS), 1 << 20, by_kernels))
        self.group = LinearGroup((), served, tuple(shapes), ActiveAdapters())
        self.device = device

    def lora(self, places: list[int], *, shared: bool = False, kind: type[CudaLora] = CudaLora) -> CudaLora:
        """Decode work: a tile for each row that has an adapter."""
        rows = [(place, row, 1) for row, place in enumerate(places) if place != BASE]
        own = torch.tensor(places, dtype=torch.int32, device=self.device)
        return kind(
            self.store, Tiles(padded(rows, len(places) + 1).to(self.device), SHORT, own, shared), RANK
        )

    def x(self, rows: int) -> torch.Tensor:
        return torch.randn(rows, INPUTS, generator=torch.Generator().manual_seed(rows)).to(self.device)

    def projection(self, shrinking: Shrinking, *, many: bool = False) -> Projection:
        made = Projection(self.group, many=many)
        made.shrinking = shrinking
        return made


@pytest.fixture(scope="module")
def setting(device: torch.device) -> Setting:
    return Setting(device)


@pytest.mark.parametrize("rows", [1, 20])
def test_every_way_to_shrink_leaves_the_same_bits(setting: Setting, rows: int) -> None:
    lora, x = setting.lora([0, *[BASE] * (rows - 1)]), setting.x(rows)
    right = setting.projection(InTurn())(x, lora)
    assert right.shrunk is not None
    for way in (InOneLaunch(), OnTwoStreams(Side([]))):
        found = setting.projection(way)(x, lora)
        assert torch.equal(found.partials.parts, right.partials.parts)
        assert found.shrunk is not None
        assert torch.equal(found.shrunk.h[:, :, 0, :RANK], right.shrunk.h[:, :, 0, :RANK])


def test_beside_the_product_nothing_is_allocated_that_could_be_given_away_before_they_join(
    setting: Setting,
) -> None:
    lora = setting.lora([0], kind=WatchedLora)
    assert isinstance(lora, WatchedLora)
    with Launches() as launches:
        lora.events = launches.names
        setting.projection(OnTwoStreams(Side(launches.names)))(setting.x(1), lora)

    told = [name for name in launches.names if name in ("room", "part", "beside", "back", "join", "shrink")]
    assert told == ["room", "part", "beside", "shrink", "back", "join"]
    assert launches.names.index("back") < launches.names.index("product_kernel") < len(launches.names) - 1


def test_rows_that_share_an_adapter_get_it_in_tiles_where_there_are_many_outputs(setting: Setting) -> None:
    x, places = setting.x(3), [0, 0, BASE]
    by_row = setting.projection(InTurn(), many=True)(x, setting.lora(places))
    for many in (True, False):
        with Launches() as launches:
            found = setting.projection(InTurn(), many=many)(x, setting.lora(places, shared=True))
        assert ("expand" in launches.names) is many is (found.shrunk is None)
    in_tiles = setting.projection(InTurn(), many=True)(x, setting.lora(places, shared=True))
    assert by_row.shrunk is not None
    added = in_tiles.partials.parts.sum(0) - by_row.partials.parts.sum(0)
    for own, path in zip(added.split(SIZES, 1), setting.group.paths, strict=True):
        matrices = setting.store.matrices(setting.place, path, torch.float32)
        assert matrices is not None
        right = x @ matrices[0].T @ matrices[1].T
        assert torch.allclose(own[:2], right[:2], rtol=1e-4, atol=1e-3)
        assert not own[2].any()


class Replayed:
    """A captured way."""

    def __init__(self, way: str, output: torch.Tensor) -> None:
        self.way = way
        self._output = output

    def __call__(self) -> torch.Tensor:
        return self._output


class Bench:
    """Captures ways, and says of each what it is told that it takes."""

    def __init__(self, seconds: dict[str, float], events: list[str]) -> None:
        self._seconds = seconds
        self._events = events

    def capture(self, run: Callable[[], torch.Tensor]) -> Replayed:
        self._events.clear()
        with Launches() as launches:
            output = run()
        way = "two_streams" if self._events else "in_turn"
        return Replayed("one_launch" if "joint_kernel" in launches.names else way, output)

    def seconds(self, work: Callable[[], object]) -> float:
        assert isinstance(work, Replayed)
        return self._seconds[work.way]


def chosen(setting: Setting, timing: Timing | None) -> tuple[str, list[str]]:
    """The way that is chosen, and what is told of those that are not right."""
    projection = setting.projection(InTurn())
    examples = Examples(setting.store, [Place(0, 0)], RANK, torch.float32)
    told: list[str] = []
    choose_shrinking([projection], examples, timing, lambda kernel, _: told.append(kernel))
    return projection.shrinking.name, told


@pytest.mark.parametrize("fastest", ["one_launch", "two_streams", "in_turn"])
def test_the_fastest_way_to_shrink_is_taken(setting: Setting, fastest: str) -> None:
    seconds = {"one_launch": 2.0, "two_streams": 2.0, "in_turn": 2.0, fastest: 1.0}
    events: list[str] = []
    bench = Bench(seconds, events)

    assert chosen(setting, Timing(Side(events), bench, lambda: bench, rows=(1,))) == (fastest, [])


def test_a_second_stream_that_cannot_be_captured_is_told_of_once(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench({"one_launch": 3.0, "two_streams": 1.0, "in_turn": 2.0}, [])
    side = Side([], "operation not permitted when stream is capturing")

    assert chosen(setting, Timing(side, bench, lambda: bench, rows=(1,))) == (
        "in_turn",
        ["shrink_two_streams"],
    )
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "not permitted when stream is capturing" in warning.getMessage()


def test_without_a_second_stream_or_memory_to_time_it_one_launch_is_taken(setting: Setting) -> None:
    def full() -> Bench:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert chosen(setting, None) == ("one_launch", [])
    assert chosen(setting, Timing(Side([]), Bench({}, []), full)) == ("one_launch", [])
