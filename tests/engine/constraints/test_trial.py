"""A grammar that would take for ever or all memory is stopped in a process of its own; the next one works."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import Tokenizer

from parfocal.engine import ConstraintRefused
from parfocal.engine.constraints import JsonSchema, Regex, TrialLimits
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import vocabulary_text
from parfocal.engine.constraints.trial import Trial
from parfocal.registry import locate_base

pytest.importorskip("llguidance")


def opened(limits: TrialLimits) -> Trial:
    tokenizer = Tokenizer.from_file(str(locate_base("tiny", weights=False).folder / "tokenizer.json"))
    return Trial(vocabulary_text(tokenizer), tokenizer.get_vocab_size(), (2,), limits)


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    """Has little memory, and all the time that it needs to run out of it."""
    trial = opened(TrialLimits(seconds=120, memory_bytes=64 << 20))
    yield trial
    trial.close()


def schema(value: Any) -> str:
    return grammar_text(JsonSchema(json.dumps(value)))


def test_what_compiles_in_time_passes(trial: Trial) -> None:
    trial.check(schema({"type": "object"}))


def test_what_is_refused_here_is_refused_there_in_the_same_words(trial: Trial) -> None:
    with pytest.raises(ConstraintRefused, match="no text satisfies the constraint"):
        trial.check(grammar_text(Regex(r"[^\s\S]")))


def test_what_takes_too_long_is_stopped() -> None:
    trial = opened(TrialLimits(seconds=0.2, memory_bytes=16 << 30))
    with pytest.raises(
        ConstraintRefused, match=r"takes longer than 0\.2 seconds to compile; make it simpler"
    ):
        trial.check(schema({"type": "integer", "multipleOf": 99_999_989}))
    trial.close()


def test_what_takes_too_much_memory_is_stopped_and_the_next_one_works(trial: Trial) -> None:
    with pytest.raises(ConstraintRefused, match="takes too much memory to compile; make it simpler"):
        trial.check(schema({"type": "integer", "multipleOf": 99_999_989}))

    trial.check(schema({"type": "object"}))


@pytest.mark.parametrize(
    "grammar",
    [
        schema({"enum": [f"{number}" * 5 for number in range(9_000)]}),
        grammar_text(Regex("(" * 1000 + "a" + ")" * 1000)),
        schema({"allOf": [{"type": "string", "pattern": f"^(.*a.{{{n}}}b.*)$"} for n in range(10, 22)]}),
    ],
)  # fmt: skip
def test_what_explodes_harms_nobody(grammar: str, trial: Trial) -> None:
    try:
        trial.check(grammar)
    except ConstraintRefused as refused:
        assert "; " in str(refused)

    trial.check(schema({"type": "object"}))
