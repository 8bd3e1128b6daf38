"""The real engine on the base `tiny`: held and free requests in one batch, sampled in every way."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from oracle.engines import run_all
from parfocal.engine import Completion, Engine, EngineConfig, FinishReason, Request, Sampling, Stop
from parfocal.engine.constraints import (
    Choice,
    Constraint,
    ConstraintCompiler,
    ConstraintSpec,
    Grammar,
    JsonSchema,
    Regex,
    open_compiler,
)
from parfocal.engine.loading import build_engine, load_base
from parfocal.registry import locate_base

pytest.importorskip("llguidance")

RECORD = {
    "type": "object",
    "properties": {
        "issue": {"enum": ["damaged", "late", "refund"]},
        "urgent": {"type": "boolean"},
        "order": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
    },
    "required": ["issue", "urgent", "order"],
    "additionalProperties": False,
}
SCHEMA = JsonSchema(json.dumps(RECORD))
WAYS = (
    Sampling(),
    Sampling(temperature=1.0, seed=3),
    Sampling(temperature=1.5, top_k=50, top_p=0.95, min_p=0.01, seed=4),
    Sampling(temperature=0.9, repetition_penalty=1.3, frequency_penalty=0.5, seed=5),
)


@dataclass
class Tiny:
    """An engine on `tiny`, its compiler, and prompts."""

    engine: Engine
    compiler: ConstraintCompiler
    prompt: tuple[int, ...]
    special: frozenset[int]

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """Returns the constraint."""
        return asyncio.run(self.compiler.compile(spec))

    def ask(self, *requests: Request) -> list[Completion]:
        """Returns the answers of one batch."""
        collected = run_all(self.engine, list(requests))
        assert not collected.errors
        return [collected.completions[request.request_id] for request in requests]


@pytest.fixture(scope="module")
def tiny() -> Iterator[Tiny]:
    config = EngineConfig(device="cpu", dtype="float32", max_requests=16, kv_cache_bytes=8 << 20)
    base = load_base(locate_base("tiny", weights=True).folder, config)
    tokenizer = base.tokenizer.backend_tokenizer
    compiler = open_compiler(tokenizer, base.info.vocabulary, base.info.eos_ids)
    engine = build_engine(base, config, source=None)  # type: ignore[arg-type]
    prompt = tuple(tokenizer.encode("The order was late. As JSON:").ids)
    yield Tiny(engine, compiler, prompt, frozenset(tokenizer.get_added_tokens_decoder()))
    engine.close()
    compiler.close()


def request(
    tiny: Tiny, name: str, constraint: Constraint | None, sampling: Sampling, most: int = 200
) -> Request:
    return Request(name, tiny.prompt, sampling=sampling, stop=Stop(max_tokens=most), constraint=constraint)


def test_every_answer_is_what_was_asked_for_and_free_requests_do_not_notice(tiny: Tiny) -> None:
    constraint = tiny.compile(SCHEMA)
    free = [request(tiny, f"free {n}", None, way, 40) for n, way in enumerate(WAYS)]
    alone = tiny.ask(*free)
    held = [request(tiny, f"held {n}", constraint, way) for n, way in enumerate(WAYS)]

    answers = tiny.ask(*(each for pair in zip(held, free, strict=True) for each in pair))

    assert [done.token_ids for done in answers[1::2]] == [done.token_ids for done in alone]
    assert all(done.constraint_met is None for done in alone)
    for done in answers[::2]:
        value = json.loads(done.text)
        assert done.finish_reason is FinishReason.STOP
        assert done.constraint_met is True
        assert set(value) == {"issue", "urgent", "order"}
        assert re.fullmatch("[A-Z]{2}-[0-9]{4}", value["order"])
        assert not tiny.special & set(done.token_ids)


def test_the_same_seed_gives_the_same_answer_whatever_shares_the_batch(tiny: Tiny) -> None:
    constraint = tiny.compile(SCHEMA)
    asked = request(tiny, "q", constraint, WAYS[1])
    (alone,) = tiny.ask(asked)

    together = tiny.ask(*(request(tiny, f"{n}", constraint, way) for n, way in enumerate(WAYS[2:])), asked)

    assert together[-1].token_ids == alone.token_ids


@pytest.mark.parametrize("most", [1, 5, 12])
def test_an_answer_that_is_cut_off_is_not_called_done(most: int, tiny: Tiny) -> None:
    (done,) = tiny.ask(request(tiny, "q", tiny.compile(SCHEMA), WAYS[0], most))

    assert done.finish_reason is FinishReason.LENGTH
    assert done.constraint_met is False
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.text)


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [
        (Choice(("refund", "exchange", "日本")), "refund|exchange|日本"),
        (Regex(r"[A-Z][a-z]{3,6}, \d{4}"), r"[A-Z][a-z]{3,6}, \d{4}"),
        (Grammar('root ::= "<" item{1,3} ">"\nitem ::= [a-f]{1,4} ","'), "<([a-f]{1,4},){1,3}>"),
    ],
)
def test_texts_that_are_no_json_are_held_to_what_was_asked_for(
    spec: ConstraintSpec, pattern: str, tiny: Tiny
) -> None:
    constraint = tiny.compile(spec)
    answers = tiny.ask(*(request(tiny, f"{n}", constraint, way) for n, way in enumerate(WAYS)))

    assert all(done.constraint_met for done in answers)
    assert [done.text for done in answers if not re.fullmatch(pattern, done.text)] == []


def test_log_probabilities_are_the_models_own_also_under_a_constraint(tiny: Tiny) -> None:
    held = replace(
        request(tiny, "q", tiny.compile(Choice(("zebra",))), WAYS[0]), logprobs=True, top_logprobs=1
    )
    (done,) = tiny.ask(held)

    assert len(done.logprobs) == len(done.token_ids)
    assert done.logprobs[0].logprob < -1
    assert done.logprobs[0].top[0][0] != done.token_ids[0]
