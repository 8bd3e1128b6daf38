"""What is searched: read from files and flags, refused by name, drawn within its bounds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.training import hyperparameters_of
from parfocal.training import InvalidConfig, SearchConfig, TrainConfig, search_config
from parfocal.training.search import Choices, Range, Space, check_space, default_space, grid, start_of
from parfocal.training.search.settings import read_search, search_json
from parfocal.training.search.space import read_dimension
from parfocal.training.settings import resolve_settings

CONFIG = TrainConfig(data=Path("rows.jsonl"), name="n")


def test_a_settings_file_says_what_is_searched_and_how(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'data = "rows.jsonl"\nrank = 8\n[tune]\ntrials = 12\npruner = "halving"\nminutes = 30\n'
        "learning_rate = { low = 1e-4, high = 1e-2 }\nbatch_size = [8, 16]\n"
        "dropout = { low = 0, high = 0.1 }\n"
        'targets = [["q_proj", "v_proj"], []]\nwarmup_steps = { low = 1, high = 9 }\n',
        "utf-8",
    )
    found = resolve_settings(file, {})
    search = search_config(found.tune, "[tune]")

    assert found.values == {"data": Path("rows.jsonl"), "rank": 8}
    assert (search.trials, search.pruner, search.minutes, search.sampler) == (12, "halving", 30.0, "tpe")
    assert search.space == {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "batch_size": Choices((8, 16)),
        "dropout": Range(0.0, 0.1),
        "targets": Choices((("q_proj", "v_proj"), ())),
        "warmup_steps": Range(1, 9, whole=True),
    }


def test_pairs_and_flags_beat_the_file() -> None:
    table = {"trials": 3, "rank": [4, 8], "alpha": [16, 32]}
    pairs = ["rank=2,16", "learning-rate=1e-4..1e-2", 'targets=[["q_proj"], []]']
    search = search_config(table, "[tune]", pairs, {"trials": 5, "sampler": "random"})

    assert (search.trials, search.sampler) == (5, "random")
    assert search.space == {
        "rank": Choices((2, 16)),
        "alpha": Choices((16, 32)),
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "targets": Choices((("q_proj",), ())),
    }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"rnk": [8]}, "unknown key rnk in .tune.; the nearest one is rank"),
        ({"trials": "many"}, "sets trials to 'many'; it must be a whole number"),
        ({"trials": 0}, "trials is 0; it must be from 1"),
        ({"minutes": -1}, "minutes is -1.0; it must be above 0"),
        ({"sampler": "best"}, "sampler is 'best'; use one of tpe, random, grid"),
        ({"pruner": "all"}, "pruner is 'all'; use one of median, halving, none"),
        ({"rank": 8}, r"searches rank in 8; give choices, such as \[8, 16\], or a range"),
        ({"rank": []}, "gives rank no choice"),
        ({"rank": [8, 8]}, "gives rank the same choice twice"),
        ({"rank": ["x"]}, "sets rank to 'x'; it must be a whole number"),
        ({"rank": {"low": 1}}, "in a range with low; it has low and high"),
        ({"rank": {"low": 8, "high": 4}}, "from 8 to 4; low must be less than high"),
        ({"learning_rate": {"low": 0, "high": 1}}, "from 0 to 1; low must be less than high above 0"),
        ({"rank": {"low": 1, "high": 8, "log": 3}}, "sets log of rank to 3; use true or false"),
        ({"schedule": {"low": 1, "high": 2}}, "searches schedule in .*; give choices"),
        ({"method": ["sft", "dpo"]}, "searches method, which would change the rows or the loss"),
        ({"held_out_fraction": [0.1]}, "would change the rows or the loss.*nearest"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(table: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        search_config(table, "[tune]")


@pytest.mark.parametrize("pair", ["rank", "rank=", "nothing=1,2", "rank=8..x", "targets=[q"])
def test_a_pair_that_says_nothing_is_refused(pair: str) -> None:
    with pytest.raises(InvalidConfig):
        search_config({}, "[tune]", [pair])


def test_values_that_a_run_would_refuse_are_refused_before_the_first_trial() -> None:
    with pytest.raises(InvalidConfig, match="searching rank: rank is 512; it must be from 1 to 256"):
        check_space(CONFIG, {"rank": Choices((8, 512))})
    with pytest.raises(InvalidConfig, match=r"batch_size 8, micro_batch 16 together.*must divide"):
        check_space(CONFIG, {"batch_size": Choices((8, 16)), "micro_batch": Choices((16,))})
    with pytest.raises(InvalidConfig, match=r"steps.*epochs or steps, not both"):
        check_space(replace(CONFIG, steps=5), {"epochs": Choices((1.0,))})


def test_by_default_the_rate_around_the_usual_one_and_the_rank_are_searched() -> None:
    chosen = hyperparameters_of()
    space = default_space(CONFIG, chosen, frozenset())

    assert list(space) == ["learning_rate", "rank"]
    rates = space["learning_rate"]
    assert isinstance(rates, Range) and rates.log
    assert rates.low < chosen.learning_rate < rates.high
    assert list(default_space(CONFIG, chosen, frozenset({"rank"}))) == ["learning_rate"]
    with pytest.raises(InvalidConfig, match="nothing else is searched by default"):
        default_space(CONFIG, chosen, frozenset({"rank", "learning_rate"}))


def test_the_search_begins_at_what_training_would_choose() -> None:
    chosen = hyperparameters_of()
    space: Space = {
        "learning_rate": Range(1e-5, 1e-2, log=True),
        "rank": Choices((8, 32)),
        "alpha": Choices((32,)),
    }

    assert start_of(CONFIG, chosen, space) == {"learning_rate": chosen.learning_rate, "alpha": 32}
    given = replace(CONFIG, rank=32, learning_rate=1e-3)
    assert start_of(given, chosen, space) == {"learning_rate": 1e-3, "rank": 32, "alpha": 32}
    with pytest.raises(InvalidConfig, match="rank is 4, outside of what is searched"):
        start_of(replace(CONFIG, rank=4), chosen, space)


def test_a_grid_has_every_combination_and_takes_no_range() -> None:
    found = list(grid({"rank": Choices((8, 16)), "alpha": Choices((1, 2))}))

    assert found == [
        {"rank": 8, "alpha": 1},
        {"rank": 8, "alpha": 2},
        {"rank": 16, "alpha": 1},
        {"rank": 16, "alpha": 2},
    ]
    with pytest.raises(InvalidConfig, match="rank is searched in a range, and a grid takes choices"):
        list(grid({"rank": Range(1, 2, whole=True)}))


_NUMBERS = st.floats(1e-8, 1e8)


@given(_NUMBERS, _NUMBERS, st.floats(0, 1), st.booleans())
def test_what_is_drawn_lies_in_its_range_and_reads_shortly(
    a: float, b: float, part: float, log: bool
) -> None:
    low, high = min(a, b), max(a, b) * 1.001
    value = Range(low, high, log).read(low + part * (high - low))

    assert low <= value <= high
    assert value in (low, high) or float(f"{value:.3g}") == value


def test_a_search_that_is_written_down_is_read_back() -> None:
    space: Space = {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "rank": Range(4, 64, log=False, whole=True),
        "targets": Choices((("q_proj",), ())),
        "rslora": Choices((True, False)),
    }
    search = SearchConfig(space, 5, "random", "none", 2.0)

    assert read_search(search_json(search, space), 5, 2.0) == search
    assert read_dimension("rank", {"low": 1, "high": 2, "log": True}, "x") == Range(1, 2, True, True)
