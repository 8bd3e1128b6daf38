"""llguidance and xgrammar side by side: compiling, masks, which answers come of them, and hostile schemas.

xgrammar is no dependency: to compare, put it and what it needs on the path.
"""

import json
import multiprocessing
import random
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer

from bench.constraints.samples import SCHEMAS, fault
from parfocal.engine.constraints import JsonSchema
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import GuidedVocabulary, vocabulary_text

_WALKS = 4
_MOST_TOKENS = 400
_PATIENCE_S = 10.0

HOSTILE: dict[str, Any] = {
    "refers to itself": {"$ref": "#"},
    "a string of up to a billion": {"type": "string", "maxLength": 10**9},
    "an array of a million": {"type": "array", "items": {"type": "integer"}, "minItems": 10**6},
    "an enum of 10,000": {"enum": [f"value {number}" for number in range(10_000)]},
    "2,000 properties": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2000)}},
    "6^8 alternatives": {
        "allOf": [
            {"anyOf": [{"type": "object", "properties": {f"p{a}{b}": {"type": "integer"}}} for b in range(6)]}
            for a in range(8)
        ]
    },
    "a multiple of 99,999,989": {"type": "integer", "multipleOf": 99_999_989},
    "a pattern of a million": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "a constant of 64,000": {"const": "ab c" * 16_000},
}


class Answer(Protocol):
    """What masks the tokens of one answer."""

    is_over: bool

    def mask(self) -> bytes:
        """A bit for each token that may follow, lowest first."""

    def accept(self, token_id: int) -> None:
        """Goes on by a token."""


class Library(Protocol):
    """Compiles schemas over one vocabulary."""

    def compile(self, schema: str) -> Callable[[], Answer]:
        """What makes an answer; raises what the library raises for what it refuses."""


class Llguidance:
    """As the server uses it."""

    def __init__(self, tokenizer: Tokenizer, eos: int) -> None:
        size = tokenizer.get_vocab_size()
        self._vocabulary = GuidedVocabulary(vocabulary_text(tokenizer), size, (eos,))

    def compile(self, schema: str) -> Callable[[], Answer]:
        """Compiles without the trial."""
        constraint = self._vocabulary.constraint(grammar_text(JsonSchema(schema)))
        return lambda: _Guided(constraint.start())


class _Guided:
    def __init__(self, state: Any) -> None:
        self.is_over = False
        self.mask = state.allowed
        self._state = state

    def accept(self, token_id: int) -> None:
        self._state.accept(token_id)
        self.is_over = self._state.is_complete


class Xgrammar:
    """With one thread and no cache, so that each schema's own work is seen."""

    def __init__(self, tokenizer: Tokenizer, eos: int) -> None:
        self._library = import_module("xgrammar")
        words = [str(tokenizer.id_to_token(number)) for number in range(tokenizer.get_vocab_size())]
        kind = self._library.VocabType.BYTE_LEVEL
        info = self._library.TokenizerInfo(words, kind, vocab_size=len(words), stop_token_ids=[eos])
        self._compiler = self._library.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self._size = len(words)

    def compile(self, schema: str) -> Callable[[], Answer]:
        """Compiles with whatever space the model likes."""
        compiled = self._compiler.compile_json_schema(schema)
        return lambda: _Matched(self._library, compiled, self._size)


class _Matched:
    def __init__(self, library: Any, compiled: Any, size: int) -> None:
        self.is_over = False
        self._matcher = library.GrammarMatcher(compiled)
        self._bits = library.allocate_token_bitmask(1, size)

    def mask(self) -> bytes:
        self._matcher.fill_next_token_bitmask(self._bits)
        return bytes(self._bits.numpy().tobytes())

    def accept(self, token_id: int) -> None:
        assert self._matcher.accept_token(token_id)
        self.is_over = self._matcher.is_terminated()


LIBRARIES: dict[str, Callable[[Tokenizer, int], Library]] = {"llguidance": Llguidance, "xgrammar": Xgrammar}


def compare(path: Path) -> None:
    """Prints what both do with the tokenizer at `path`."""
    for name in LIBRARIES:
        print(f"== {name}, {Tokenizer.from_file(str(path)).get_vocab_size()} tokens", flush=True)
        for line in _apart(_ordinary, name, path, 600.0) or ["it did not end"]:
            print(line)
        for what in HOSTILE:
            lines = _apart(_hostile, name, path, _PATIENCE_S, what)
            print(f"{what}: {lines[0] if lines else f'killed after {_PATIENCE_S:g} s, or dead'}", flush=True)


def _apart(act: Callable[..., None], name: str, path: Path, seconds: float, *more: str) -> list[str]:
    """What a process of its own sends, or nothing: it is killed in the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=act, args=(theirs, name, path, *more))
    process.start()
    theirs.close()
    lines: list[str] = []
    try:
        if ours.poll(120) and ours.recv() == "ready" and ours.poll(seconds):
            lines = ours.recv()
    except EOFError:
        pass
    process.kill()
    process.join()
    return lines


def _ordinary(told: Connection, name: str, path: Path) -> None:
    tokenizer, eos = Tokenizer.from_file(str(path)), 0
    begun = time.perf_counter()
    library = LIBRARIES[name](tokenizer, eos)
    opened = time.perf_counter() - begun
    told.send("ready")
    compiling, masks, accepts, gaps = list[float](), list[float](), list[float](), list[float]()
    refused, faults, cut = list[str](), list[str](), 0
    for what, schema in SCHEMAS.items():
        try:
            with _GapWatch() as gap:
                begun = time.perf_counter()
                start = library.compile(json.dumps(schema))
                compiling.append(time.perf_counter() - begun)
            gaps.append(gap.longest)
        except Exception as error:
            refused.append(f"{what} ({str(error)[:80]!r})")
            continue
        for seed in range(_WALKS):
            ids, is_whole = _walk(start(), tokenizer, eos, seed, (masks, accepts))
            cut += not is_whole
            if is_whole and (wrong := fault(tokenizer.decode(ids), schema)):
                faults.append(f"{what} ({wrong[:80]})")
    told.send(
        [
            f"vocabulary: {opened * 1e3:.0f} ms",
            f"compile: {_spread(compiling, 1e3, 'ms')}; other threads waited {max(gaps) * 1e3:.1f} ms",
            f"mask: {_spread(masks, 1e6, 'us')}; accept: {_spread(accepts, 1e6, 'us')}",
            f"of {len(SCHEMAS) * _WALKS} answers: {cut} cut, {len(faults)} invalid: {sorted(set(faults))}",
            f"refused: {refused}",
        ]
    )


def _walk(
    answer: Answer, tokenizer: Tokenizer, eos: int, seed: int, times: tuple[list[float], list[float]]
) -> tuple[list[int], bool]:
    """A random answer, of short tokens after a while, and whether it came to an end."""
    chance, drawn = random.Random(seed), list[int]()
    while len(drawn) < _MOST_TOKENS:
        begun = time.perf_counter()
        bits = answer.mask()
        times[0].append(time.perf_counter() - begun)
        ids = np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little"))
        ids = ids[ids < tokenizer.get_vocab_size()]  # xgrammar also sets the bits that fill the last word
        if eos in ids and (len(drawn) > 30 or len(ids) == 1 or chance.random() < 0.3):
            return drawn, True
        some = [int(ids[chance.randrange(len(ids))]) for _ in range(16 if len(drawn) > 30 else 1)]
        chosen = min(
            (one for one in some if one != eos), key=lambda one: len(tokenizer.decode([one])), default=eos
        )
        begun = time.perf_counter()
        answer.accept(chosen)
        times[1].append(time.perf_counter() - begun)
        if chosen == eos:
            return drawn, True
        drawn.append(chosen)
        if answer.is_over:
            return drawn, True
    return drawn, False


def _hostile(told: Connection, name: str, path: Path, what: str) -> None:
    library = LIBRARIES[name](Tokenizer.from_file(str(path)), 0)
    told.send("ready")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    try:
        answer = library.compile(json.dumps(HOSTILE[what]))()
        compiled = time.perf_counter() - begun
        worst = max(_mask_times(answer))
        outcome = f"compiled in {compiled * 1e3:.0f} ms, the slowest of 20 masks {worst * 1e3:.1f} ms"
    except Exception as error:
        outcome = f"refused in {(time.perf_counter() - begun) * 1e3:.0f} ms: {str(error)[:100]!r}"
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    told.send([f"{outcome}; {more} MiB more"])


def _mask_times(answer: Answer) -> Iterator[float]:
    for _ in range(20):
        begun = time.perf_counter()
        bits = answer.mask()
        yield time.perf_counter() - begun
        ids = np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little"))
        answer.accept(int(ids[len(ids) // 2]))
        if answer.is_over:
            return


class _GapWatch:
    """How long a thread that wants to run every millisecond had to wait at most."""

    longest = 0.0

    def __enter__(self) -> "_GapWatch":
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.perf_counter()
        while not self._ends.wait(0.001):
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now


def _spread(values: list[float], scale: float, unit: str) -> str:
    ordered = sorted(value * scale for value in values)
    return (
        f"median {statistics.median(ordered):.1f}, p99 {ordered[int(len(ordered) * 0.99)]:.1f}, "
        f"most {ordered[-1]:.1f} {unit}"
    )
