"""Frames of `parfocal top`: no wider than the terminal, and with what matters in them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from fakes.looks import MODEL, loaded, serving
from parfocal.cli.monitoring import History, Look, View, frame, status_document
from parfocal.cli.monitoring.drawings import bar, sparkline

BUSY = {
    "parfocal_requests_running": 7,
    "parfocal_requests_waiting": 3,
    "parfocal_generated_tokens_total": 1000,
    'parfocal_kv_blocks{state="used"}': 10,
    'parfocal_kv_blocks{state="cached"}': 20,
    'parfocal_kv_blocks{state="free"}': 70,
    "process_resident_memory_bytes": 1 << 30,
    'parfocal_requests_total{adapter="team/invoices",version="3",outcome="queue_full"}': 4,
    'parfocal_adapter_generated_tokens_total{adapter="team/invoices",version="3"}': 500,
}
ADAPTERS = [
    loaded(),
    loaded("team/staged", 1, tier="host", state="staged", pins=0),
    loaded("a" * 63 + "/" + "b" * 63, 12, pinned=True),
]


def _drawn(view: View, width: int, height: int | None = None, hint: str = "") -> list[str]:
    console = Console(
        width=width, height=height or 50, force_terminal=False, color_system=None, highlight=False
    )
    with console.capture() as captured:
        console.print(frame("127.0.0.1:50051", view, width, height, hint))
    return captured.get().splitlines()


def _busy() -> View:
    history = History()
    history.add(serving(0.0, {**dict.fromkeys(BUSY, 0), "parfocal_generated_tokens_total": 0}, ADAPTERS))
    return history.add(serving(2.0, BUSY, ADAPTERS))


@pytest.mark.parametrize("width", [60, 72, 80, 100, 132, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = _drawn(_busy(), width, hint="q leaves")

    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    for each in ("serving", "500.0", "7 running, 3 waiting", "queue full 4", "team/invoices@3", "q leaves"):
        assert each in text
    assert ("TOK/S" in text) == (width >= 72)
    assert ("RANK" in text) == (width >= 100)


LABELS = ("tokens/s", "requests", "first token", "per token", "KV blocks", "memory", "errors")
ERRORS = ("queue full", "deadline exceeded", "adapter not found", "invalid argument", "prompt too long")


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 10_000])
def test_nothing_is_cut_however_narrow_the_terminal_is(width: int) -> None:
    outcomes = {
        f'parfocal_requests_total{{adapter="x",version="1",outcome="{error.replace(" ", "_")}"}}': number
        for number, error in enumerate(ERRORS, 10_001)
    }
    history = History()
    history.add(serving(0.0, dict.fromkeys(outcomes, 0)))
    fault = "word " * 40 + "end-of-fault"
    view = history.add(replace(serving(2.0, outcomes, ADAPTERS), fault=fault, missing=(fault,)))
    lines = _drawn(view, width)

    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= width
    assert "…" not in text
    assert all(any(line.startswith(label) for line in lines) for label in LABELS)
    said = " ".join(text.split())
    assert all(f"{error} {number}" in said for number, error in enumerate(ERRORS, 10_001))
    assert said.count("end-of-fault") == 2
    assert "a" * 63 + "/" + "b" * 63 in "".join(text.split()) or width < 150


@pytest.mark.parametrize("width", [60, 80, 132])
def test_a_frame_of_lines_that_go_on_is_as_high_as_the_terminal(width: int) -> None:
    many = [loaded(f"team/a{each}") for each in range(40)]
    view = History().add(replace(serving(0.0, BUSY, many), fault="word " * 60))

    assert len(_drawn(view, width, height=30)) == 30


def test_an_adapters_tokens_stand_in_its_row() -> None:
    (row,) = [line for line in _drawn(_busy(), 120) if "team/invoices@3" in line]

    assert row.split()[1:] == ["ready", "device", "21.0", "MiB", "2", "250.0", "2.00", "16"]


def test_the_device_comes_first_and_what_does_not_fit_is_counted() -> None:
    many = [loaded("team/host", 1, tier="host"), *(loaded(f"team/a{each}") for each in range(40))]
    lines = _drawn(History().add(serving(0.0, BUSY, many)), 80, height=24)

    assert len(lines) <= 24
    assert "and 3" in "\n".join(lines)
    assert not any("team/host" in line for line in lines)


def test_a_server_that_is_gone_is_said_with_what_was_known_of_it() -> None:
    history = History()
    history.add(serving(0.0, BUSY, ADAPTERS))
    lines = _drawn(history.add(Look(2.0, "unreachable", "nobody listens")), 80)

    assert lines[0].startswith("○ unreachable  team/base-8b")
    assert "nobody listens" in lines
    assert not any("tokens/s" in line for line in lines)


def test_a_server_that_comes_back_is_counted_anew() -> None:
    history = History()
    history.add(serving(0.0, BUSY))
    history.add(Look(2.0, "unreachable", "nobody listens"))
    back = history.add(serving(4.0, {"parfocal_generated_tokens_total": 5000}))

    assert back.figures is not None
    assert back.figures.tokens_per_s is None


def test_what_cannot_be_had_is_named() -> None:
    view = History().add(Look(0.0, "serving", model=MODEL, missing=("figures: no metrics page at x",)))

    assert "missing figures: no metrics page at x" in "\n".join(_drawn(view, 80))


def test_a_name_cannot_act_on_the_terminal() -> None:
    view = History().add(Look(0.0, "refused", "no \x1b[31mkey"))

    assert "\x1b" not in "\n".join(_drawn(view, 80))


def test_the_document_has_everything_and_is_json() -> None:
    import json

    found = json.loads(json.dumps(status_document("127.0.0.1:50051", _busy())))

    assert (found["serving"], found["state"], found["fault"]) == (True, "serving", None)
    assert found["model"]["limits"]["max_running_requests"] == 64
    assert found["adapters"][0]["name"] == "team/invoices"
    assert found["figures"]["requests_running"] == 7
    assert found["figures"]["tokens_per_s"] == 500.0
    assert found["figures"]["errors"] == {"queue_full": 4}
    assert found["figures"]["kv_blocks"] == {"used": 10, "cached": 20, "free": 70}
    assert found["missing"] == []


@given(st.lists(st.floats(0, 1e9), max_size=50), st.integers(-1, 80))
def test_a_sparkline_is_as_long_as_there_is_to_show(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), max(0, width))


@given(st.lists(st.floats(0, 100), max_size=3), st.integers(0, 80))
def test_a_bar_is_as_wide_as_asked(amounts: list[float], width: int) -> None:
    drawn = bar([(amount, "█") for amount in amounts], sum(amounts), width)

    assert len(drawn) == width


def test_a_long_interval_still_has_rates() -> None:
    history = History(window_s=60.0)
    history.add(serving(0.0, {"parfocal_generated_tokens_total": 0}))
    view = history.add(serving(100.0, {"parfocal_generated_tokens_total": 100}))

    assert view.figures is not None
    assert view.figures.tokens_per_s == 1.0
