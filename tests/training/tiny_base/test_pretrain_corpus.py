"""The synthetic texts: the same from the same seed, answerable, and without the demo's two jobs."""

import json
from dataclasses import replace
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.examples import office_memos, support_emails, support_tickets
from tiny_base.batches import BatchStream, Place
from tiny_base.encoding import Encoder
from tiny_base.settings import smoke
from tiny_base.tasks.corpus import TASKS, documents
from tiny_base.tasks.extraction import extract_by_form
from tiny_base.tokenizer import END, special_id, train_tokenizer
from tiny_base.writing.source import Source
from tiny_base.writing.words import invented

_DOCUMENTS = list(islice(documents(Source("corpus test")), 1500))


def _whole(document_number: int) -> str:
    document = _DOCUMENTS[document_number]
    return document.context + document.learnt + "\n".join(turn.content for turn in document.turns)


def test_the_same_seed_gives_the_same_documents() -> None:
    assert list(islice(documents(Source(5)), 50)) == list(islice(documents(Source(5)), 50))


def test_every_task_occurs() -> None:
    assert {task.__name__ for task in TASKS} <= {document.task for document in _DOCUMENTS}


@given(st.integers(0, 2**32), st.integers(8, 200))
def test_training_and_held_out_never_draw_the_same_item(seed: int, size: int) -> None:
    items = list(range(size))
    trained = {Source(seed).pick(items) for _ in range(20)}
    held_out = {Source(seed, held_out=True).pick(items) for _ in range(20)}
    assert all(item % 8 != 7 for item in trained)
    assert all(item % 8 == 7 for item in held_out)


def test_a_training_source_reaches_every_item_that_is_not_kept_back() -> None:
    source = Source(1)
    assert {source.pick(range(20)) for _ in range(2000)} == {n for n in range(20) if n % 8 != 7}


@given(st.integers(0, 2**32))
def test_an_extracted_value_stands_in_the_text(seed: int) -> None:
    asked, answered = extract_by_form(Source(seed)).turns
    for value in json.loads(answered.content).values():
        assert value is None or isinstance(value, bool) or str(value) in asked.content


def test_the_demo_jobs_are_not_in_the_corpus() -> None:
    everything = "\n".join(_whole(number) for number in range(len(_DOCUMENTS)))
    for mark in ("MEMORANDUM", "RE: the", "Please be advised", "facsimile", '"urgent"', '"issue"'):
        assert mark not in everything
    sentences = [line for row in support_emails(50, 1) for line in row["prompt"].split("\n")[1:2]]
    sentences += [row["prompt"] for row in office_memos(50, 1)]
    sentences += [row["prompt"] for row in support_tickets(50, 1)]
    sentences += [row["completion"] for row in support_tickets(50, 1)]
    assert not [sentence for sentence in sentences if sentence in everything]


def test_polishing_joins_words_from_the_pieces_it_is_given() -> None:
    source = Source(1, pieces=("ender", "urg"))
    words_made = [invented(source) for _ in range(200)]
    assert any(word == "enderurg" for word in words_made)
    assert any("ender" not in word and "urg" not in word for word in words_made)


def test_only_answers_and_their_end_count_in_evaluation() -> None:
    tokenizer = train_tokenizer(_DOCUMENTS[:300], 512)
    document = next(each for each in _DOCUMENTS if each.task == "greet")
    encoded = Encoder(tokenizer).encode(document)
    counted = [token for token, weight in zip(encoded.tokens, encoded.weights, strict=True) if weight > 0]
    answers = [turn.content for turn in document.turns if turn.role == "assistant"]
    assert tokenizer.decode(counted, skip_special_tokens=True) == "".join(answers)
    assert counted.count(special_id(tokenizer, END)) == len(answers)


def test_a_stream_goes_on_from_any_place() -> None:
    encoder = Encoder(train_tokenizer(_DOCUMENTS[:300], 512))
    settings = replace(smoke(3, seed=3), batch_tokens=8192)
    stream = BatchStream(encoder, settings)
    batches = iter(stream)
    for _ in range(4):
        next(batches)
    place = stream.place
    following = next(batches)
    resumed = next(iter(BatchStream(encoder, settings, Place(place.pool, place.batch))))
    assert resumed.tokens.equal(following.tokens)
    assert resumed.weights.equal(following.weights)
