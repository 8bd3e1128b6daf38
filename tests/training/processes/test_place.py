"""Each process of a run knows its number from its launcher, and what cannot be shared is refused by name."""

from typing import Any

import pytest

from fakes.training import hyperparameters_of
from parfocal.training import InvalidConfig, TrainConfig
from parfocal.training.processes import ALONE, Place, refuse_sharding
from parfocal.training.several import check_several

MEETING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def config_of(**changes: Any) -> TrainConfig:
    return TrainConfig.from_json({"data": "rows.jsonl", "name": "letters", **changes})


def test_without_a_launcher_a_process_is_alone_and_leads() -> None:
    assert Place.from_environment({}) == Place(0, 1, 0)
    assert Place.from_environment({"WORLD_SIZE": "1", "RANK": "0"}).leads


def test_under_a_launcher_it_has_a_number_among_all_and_on_its_machine() -> None:
    place = Place.from_environment({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", **MEETING})
    assert (place.rank, place.size, place.local_rank, place.leads) == (3, 4, 1, False)
    assert str(place) == "process 3 of 4"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', which is no number"),
        ({"WORLD_SIZE": "2"}, "RANK is 'not set' with WORLD_SIZE 2"),
        ({"WORLD_SIZE": "2", "RANK": "2", **MEETING}, "RANK is '2' with WORLD_SIZE 2"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set, so the processes cannot meet"),
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        Place.from_environment(environment)


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_sharding_of_the_4_bit_base_is_refused_with_its_reason(variable: str) -> None:
    with pytest.raises(InvalidConfig, match=f"{variable} is set.*DDP"):
        refuse_sharding({variable: "true"})
    refuse_sharding({variable: "false"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "grpo", "rewards": ["exact"]}, "grpo does not run in 2 processes"),
        ({"device": "cuda:1"}, "2 processes cannot share it"),
        ({"method": "kto", "batch_size": 2}, "give at least 4"),
        ({"batch_size": 7}, "which 2 processes cannot share; give a multiple of 2"),
    ],
)
def test_what_two_processes_cannot_do_is_refused_before_any_row_is_read(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidConfig, match=words):
        check_several(config_of(**changes), Place(0, 2))
    check_several(config_of(**changes), Place())


def test_the_rows_of_a_step_are_dealt_evenly_or_not_at_all() -> None:
    chosen = hyperparameters_of(steps=6)
    halves = chosen.shared_by(2, config_of(batch_size=16))
    assert (halves.micro_batch, halves.accumulation) == (8, 1)
    passes = chosen.shared_by(2, config_of(batch_size=16, micro_batch=4))
    assert (passes.micro_batch, passes.accumulation) == (4, 2)
    with pytest.raises(InvalidConfig, match="batch_size is 16, which 3 processes cannot share"):
        chosen.shared_by(3, config_of(batch_size=16))
    with pytest.raises(InvalidConfig, match="in passes of 16; give a multiple of 32"):
        chosen.shared_by(2, config_of(batch_size=16, micro_batch=16))


def test_a_process_alone_agrees_with_itself() -> None:
    assert ALONE.told(7) == 7
    assert ALONE.agreed(True, False) == (True, False)
