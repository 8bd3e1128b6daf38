"""The demo's first job under a schema: is the record of every held-out e-mail valid, and as often right?"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from bench.constraints.cost import Cost, Taken
from bench.constraints.engine_stand import EngineStand
from bench.constraints.samples import fault
from parfocal.cli.demonstration import StepBar, full_lessons
from parfocal.cli.demonstration.lessons import Lesson, learn
from parfocal.engine import AdapterKey, Completion, EngineConfig, Request, Stop
from parfocal.engine.chats import Chat, plain_messages
from parfocal.engine.constraints import Constraint, JsonSchema
from parfocal.registry import locate_base, open_registry
from parfocal.server.requests import PromptEncoder, Tokenizer
from parfocal.training.examples import Row

RECORD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "minLength": 1, "maxLength": 60},
        "order": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{5}$"},
        "product": {"type": "string", "minLength": 1, "maxLength": 60},
        "issue": {"enum": ["damaged", "late", "wrong item", "refund", "missing part"]},
        "urgent": {"type": "boolean"},
    },
    "required": ["customer", "order", "product", "issue", "urgent"],
    "additionalProperties": False,
}
_MOST_TOKENS = 200
_AT_ONCE = 16
_ROUNDS = 9
_KEY = AdapterKey("sha256:support", "demo/support", 1)


@dataclass(frozen=True)
class Share:
    """Of `mails` e-mails: how many answers were valid records, and how many were right in every value."""

    what: str
    mails: int
    valid: int
    right: int


def measure() -> tuple[list[Share], Cost]:
    """Trains the demo's adapter, and answers all held-out e-mails by it and by the base, free and held.

    Also what the schema costs there, where the adapter has learnt the form by itself.
    """
    lesson = full_lessons().support
    with tempfile.TemporaryDirectory() as name:
        folder = _trained(lesson, Path(name))
        config = EngineConfig(device="cpu", max_requests=50, dtype="float32")
        stand = EngineStand(locate_base("tiny", weights=True).folder, {_KEY.digest: folder}, config)
        held = stand.compile(JsonSchema(json.dumps(RECORD)))
        rows = {"held out": lesson.data.held_out, "new wording": lesson.data.new_wording}
        found = [
            _share(f"{who}, {what}, {how}", _answers(stand, mails, adapter, constraint), mails)
            for who, adapter in (("adapter", _KEY), ("base", None))
            for what, mails in rows.items()
            for how, constraint in (("free", None), ("under the schema", held))
        ]
        cost = _cost(stand, lesson.data.held_out, held)
        stand.close()
    return found, cost


def _cost(stand: EngineStand, mails: Sequence[Row], held: Constraint) -> Cost:
    cost = Cost(_AT_ONCE, _MOST_TOKENS)
    for number in range(_ROUNDS + 1):
        turns = [(cost.held, held), (cost.free, None)]
        for taken, constraint in turns if number % 2 else reversed(turns):
            requests = _requests(stand, mails[:_AT_ONCE], _KEY, constraint)
            begun = time.process_time()
            items, seconds = stand.run(requests)
            processor = time.process_time() - begun
            tokens = sum(len(item.token_ids) for item in items if isinstance(item, Completion))
            if number:
                taken.append(Taken(seconds / tokens, processor / tokens))
    return cost


def _trained(lesson: Lesson, folder: Path) -> Path:
    registry = str(folder / "registry")
    with StepBar(Console()) as watcher:
        result = learn(lesson, folder, registry, watcher)
    opened = open_registry(registry)
    return opened.materialise(opened.resolve(f"{result.name}@{result.version}").digest)


def _answers(
    stand: EngineStand, mails: Sequence[Row], adapter: AdapterKey | None, constraint: Constraint | None
) -> list[Completion]:
    items, _ = stand.run(_requests(stand, mails, adapter, constraint))
    done = [item for item in items if isinstance(item, Completion)]
    assert len(done) == len(items), [item for item in items if isinstance(item, Exception)]
    return done


def _requests(
    stand: EngineStand, mails: Sequence[Row], adapter: AdapterKey | None, constraint: Constraint | None
) -> list[Request]:
    tokenizer = stand.base.tokenizer
    longest = max(map(len, tokenizer.get_vocab()))
    encoder = PromptEncoder(cast(Tokenizer, tokenizer), stand.base.info.context_tokens, longest)
    return [
        Request(
            str(number),
            encoder.chat(Chat(plain_messages([("user", mail["prompt"])]))),
            adapter,
            stop=Stop(max_tokens=_MOST_TOKENS),
            constraint=constraint,
        )
        for number, mail in enumerate(mails)
    ]


def _share(what: str, answers: Sequence[Completion], mails: Sequence[Row]) -> Share:
    valid = [not fault(answer.text, RECORD) for answer in answers]
    right = [
        is_valid and json.loads(answer.text) == json.loads(mail["completion"])
        for is_valid, answer, mail in zip(valid, answers, mails, strict=True)
    ]
    return Share(what, len(mails), sum(valid), sum(right))
