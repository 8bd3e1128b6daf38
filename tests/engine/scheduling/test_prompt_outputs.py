"""What a request wants to know of its prompt is read once for each token, whatever else happens."""

import pytest

from fakes.engine.engines import World
from parfocal.engine import Delta, FinishReason, InvalidRequest, Pooling, PromptTooLong, RequestTooLarge
from parfocal.engine.request import Request, Stop

PROMPT = tuple(range(30))


def _computed(world: World, name: str) -> int:
    rows = (row for plan in world.runner.plans for row in plan.rows if row.request_id == name)
    return sum(len(row.token_ids) for row in rows)


def test_every_token_but_the_first_has_its_log_probability_and_the_likeliest_beside_it() -> None:
    world = World(max_batch_tokens=7)
    name = world.submit(PROMPT, tokens=3, prompt_logprobs=2)
    world.settle()

    done = world.completions[name]
    assert list(done.token_ids) == world.answer(name)
    assert len(done.prompt_logprobs) == len(PROMPT)
    assert done.prompt_logprobs[0] is None
    world.check_outputs(name)


def test_a_request_that_asks_for_nothing_is_told_nothing() -> None:
    world = World()
    name = world.submit(PROMPT)
    world.settle()

    assert (world.completions[name].prompt_logprobs, world.completions[name].embedding) == ((), ())


def test_the_first_delta_has_what_was_read_and_no_later_one() -> None:
    world, deltas = World(max_batch_tokens=7), list[Delta]()
    request = Request("q", PROMPT, stop=Stop(max_tokens=3), prompt_logprobs=0)
    world.engine.submit(request, lambda item: deltas.append(item))  # type: ignore[arg-type]
    while world.engine.step():
        pass

    assert [len(delta.prompt_logprobs) for delta in deltas] == [len(PROMPT), *[0] * (len(deltas) - 1)]
    assert deltas[-1].completion is not None
    assert list(deltas[-1].completion.prompt_logprobs) == list(deltas[0].prompt_logprobs)


@pytest.mark.parametrize("pooling", [None, *Pooling])
def test_a_request_may_generate_nothing(pooling: Pooling | None) -> None:
    world = World(max_batch_tokens=7)
    name = world.submit(PROMPT, tokens=0, prompt_logprobs=1, pooling=pooling)
    beside = world.submit((1, 2, 3), tokens=6)
    world.settle()

    done = world.completions[name]
    assert (done.token_ids, done.text, done.finish_reason) == ((), "", FinishReason.LENGTH)
    world.check_outputs(name)
    assert list(world.completions[beside].token_ids) == world.answer(beside)
    world.check_rest()


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("pooling", Pooling)
def test_an_embedding_may_keep_its_length_and_needs_no_bound(pooling: Pooling, normalised: bool) -> None:
    world = World()
    request = Request("q", PROMPT, pooling=pooling, normalised=normalised)
    world.requests["q"] = request
    world.engine.submit(request, lambda item: world._take("q", item))
    world.settle()

    world.check_outputs("q")


@pytest.mark.parametrize(
    ("options", "computed"),
    [
        ({"prompt_logprobs": 0}, 32),
        ({"tokens": 0, "pooling": Pooling.MEAN}, 32),
        ({"tokens": 0, "pooling": Pooling.LAST}, 4),
        ({}, 4),
    ],
)
def test_the_prefix_cache_gives_only_what_need_not_be_read(options: dict[str, object], computed: int) -> None:
    world, prompt = World(), tuple(range(32))
    world.submit(prompt, tokens=1)
    world.settle()
    name = world.submit(prompt, **{"tokens": 1, **options})  # type: ignore[arg-type]
    world.settle()

    assert _computed(world, name) == computed
    assert world.completions[name].cached_tokens == 32 - computed
    world.check_outputs(name)


def test_what_was_read_is_found_by_later_requests() -> None:
    world, prompt = World(), tuple(range(32))
    world.submit(prompt, tokens=0, prompt_logprobs=0)
    world.settle()
    name = world.submit(prompt, tokens=1)
    world.settle()

    assert world.completions[name].cached_tokens == 28


@pytest.mark.parametrize("tokens", [0, 4])
def test_a_preempted_prompt_is_read_once(tokens: int) -> None:
    world = World(blocks=10, block_tokens=4, max_requests=3, max_batch_tokens=3)
    first = world.submit((1, 2, 3), tokens=30)
    pooling = None if tokens else Pooling.MEAN
    read = world.submit(PROMPT, tokens=tokens, prompt_logprobs=1, pooling=pooling)
    world.settle()

    rows = [row for plan in world.runner.plans for row in plan.rows if row.request_id == read]
    readings = [(row.start, row.reading) for row in rows if row.reading is not None]
    places = [start + at for start, reading in readings for at in range(reading.first, reading.end)]
    assert places == list(range(len(PROMPT)))
    assert _computed(world, read) > len(PROMPT) + tokens, "nothing was preempted, so nothing was tested"
    world.check_outputs(read)
    assert list(world.completions[read].token_ids) == world.answer(read)
    assert list(world.completions[first].token_ids) == world.answer(first)


def test_a_request_cut_short_is_told_what_was_read() -> None:
    world = World(max_batch_tokens=7)
    name = world.submit(PROMPT, tokens=1, prompt_logprobs=0)
    world.engine.step()
    world.cancel(name)
    world.settle()

    assert len(world.completions[name].prompt_logprobs) == 8
    world.check_outputs(name)


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_prompt_may_fill_the_context_if_nothing_follows_it(tokens: int) -> None:
    world = World(blocks=100)
    whole = tuple(at % 5 for at in range(64))
    name = world.submit(whole[: 64 - tokens], tokens=tokens, prompt_logprobs=0)
    world.settle()

    world.check_outputs(name)
    with pytest.raises(PromptTooLong):
        world.submit((1, *whole)[: 65 - tokens], tokens=tokens, prompt_logprobs=0)


def test_a_prompt_may_fill_the_cache_if_nothing_follows_it() -> None:
    world = World(blocks=4)
    name = world.submit((1,) * 16, tokens=0, prompt_logprobs=0)
    world.settle()

    world.check_outputs(name)
    with pytest.raises(RequestTooLarge):
        world.submit((1,) * 16, tokens=1, prompt_logprobs=0)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"tokens": 0}, "stop.max_tokens"),
        ({"tokens": -1, "prompt_logprobs": 0}, "stop.max_tokens"),
        ({"tokens": 1, "pooling": Pooling.MEAN}, "stop.max_tokens"),
        ({"prompt_logprobs": 21}, "options.prompt_logprobs"),
        ({"prompt_logprobs": -1}, "options.prompt_logprobs"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        World().submit(PROMPT, **options)  # type: ignore[arg-type]

    assert caught.value.field == field
