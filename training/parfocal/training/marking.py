"""The comparison that ends a run of pairs, judgements or rewards: its own measure, and the serving engine."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from parfocal.registry.values import dumps
from parfocal.training.assessing import RunArm, arms_of, notes_of
from parfocal.training.computing import give_back_memory
from parfocal.training.data import BaseEncoder, Judged, Learnable, Pair, Question, Sample
from parfocal.training.evaluation import (
    ArmRows,
    Batch,
    ProbeAnswers,
    Result,
    Room,
    ServedBase,
    add_probes,
    add_rows,
    add_writing,
    own_metrics,
    pairs_of,
    peft_adapter,
    probe_figures_of,
    probes_beside,
)
from parfocal.training.figures import Continued, Evaluated, Item, Measured, marked_figures
from parfocal.training.methods import Marks, Setting, load_served, measure_of, setting_of, training_device
from parfocal.training.probes import general_texts, text_pairs
from parfocal.training.runs import Job


def assess_marks(job: Job, digest: str) -> Result:
    """Marks base, parent and adapter on the held-out rows; the engine that serves answers and is probed.

    Raises:
        EngineError: the base cannot be served here.
        RewardFailed: a reward gave no number.
    """
    arms = arms_of(job, digest)
    marks = _marked(job, arms)
    gc.collect()  # the engine loads the base once more
    give_back_memory()
    seen = _served(job, arms)
    items = tuple(map(_item, job.prepared.held_out))
    # Of kto a margin weighs rows by how many of their kind there are among all.
    of_slices = job.config.method != "kto"
    written = [one.written for one in seen.measured]
    figures = tuple(marked_figures(items, marks.held_out, written, of_slices=of_slices))
    beside = None
    if len(arms) > 2:
        kept = tuple(map(_item, job.prepared.kept))
        beside = Continued(
            arms[1].arm.title,
            tuple(marked_figures(items, [marks.held_out[1], marks.held_out[-1]], (), of_slices=of_slices)),
            probes_beside([seen.probes[1], seen.probes[-1]] if seen.probes else []),
            tuple(marked_figures(kept, marks.kept[1:], (), of_slices=False)) if kept else (),
            len(kept),
        )
    own = tuple(own_metrics(seen.measured, at, ()) | seen.shift(at) for at in range(len(arms)))
    evaluated = Evaluated(
        job.base.id,
        job.config.data.name,
        job.prepared.held_out_digest,
        items,
        seen.measured,
        figures,
        next(iter(marks.held_out[0].merits)),
        probes=probe_figures_of(dict(enumerate(seen.probes)), len(arms)),
        pairs=pairs_of(dict(enumerate(seen.probes)), text_pairs()),
        notes=notes_of(job, own[-1].get("logprob_shift") == 0),
        continued=beside,
    )
    return Result(evaluated, own)


@dataclass(frozen=True, slots=True)
class _Marked:
    """Each arm's marks on the held-out rows, and on the parent's."""

    held_out: list[Marks]
    kept: list[Marks]


def _marked(job: Job, arms: Sequence[RunArm]) -> _Marked:
    setting = setting_of(job)
    try:
        return _marked_by(setting, job, arms)
    finally:
        setting.close()


def _marked_by(setting: Setting, job: Job, arms: Sequence[RunArm]) -> _Marked:
    model: Any = load_served(job.base.folder, job.folder.adapter, setting.device)
    found: list[list[Marks]] = []
    for rows in (job.prepared.held_out, job.prepared.kept):
        if not rows:
            found.append([])
            continue
        measure = measure_of(setting, rows)
        with model.disable_adapter():
            marks = [measure.refer(model)]
        for each in arms[1:-1]:
            marks.append(_of_parent(model, each, measure.score))
        found.append([*marks, measure.score(model)])
    return _Marked(found[0], found[1])


def _of_parent(model: Any, arm: RunArm, score: Callable[[Any], Marks]) -> Marks:
    """What the measure says of another adapter on the same base, which is taken away again."""
    model.load_adapter(str(arm.folder), "parent")
    model.set_adapter("parent")
    try:
        return score(model)
    finally:
        model.set_adapter("default")
        model.delete_adapter("parent")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the serving engine saw of each arm; `probes` is empty where none were asked for."""

    measured: tuple[Measured, ...]
    probes: list[ProbeAnswers]

    def shift(self, at: int) -> dict[str, float]:
        """How far an arm moves the probabilities of general text, where rows tell nothing of theirs."""
        if not at or self.measured[0].scores or not self.probes:
            return {}
        arm = self.measured[0].arm
        first, mine = (Measured(arm, tuple(self.probes[each].texts)) for each in (0, at))
        return {"logprob_shift": own_metrics((first, mine), 1, ())["logprob_shift"]}


def _served(job: Job, arms: Sequence[RunArm]) -> _Seen:
    config, rows = job.config, job.prepared.held_out
    answers = 0 if config.method == "reward" else min(config.answers, len(rows))
    samples = tuple(_samples(rows))
    longest = max((each.size for each in rows), default=0) + job.hyperparameters.answer_tokens
    encoder = BaseEncoder(job.base.folder, config.template_variables)
    folders = {each.arm.digest: peft_adapter(each.folder) for each in arms if each.folder is not None}
    device = str(training_device(config).device)
    with ServedBase(job.base.folder, folders, device, Room(longest=2 * longest)) as served:
        batch = Batch()
        asked = [ArmRows(each.arm, each.key, encoder, samples) for each in arms]
        if samples:
            measured = [add_rows(batch, served, one, answers) for one in asked]
        else:
            prompts = [row.ids.tolist() for row in rows[:answers] if isinstance(row, Question)]
            most = job.hyperparameters.answer_tokens
            measured = [add_writing(batch, served, one, prompts, most) for one in asked]
        texts, pairs = (general_texts(), text_pairs()) if config.probes else ((), ())
        probes = [add_probes(batch, served, one, texts, pairs) for one in asked if config.probes]
        batch.run(served)
    return _Seen(tuple(each() for each in measured), probes)


def _samples(rows: Sequence[Learnable]) -> Iterator[Sample]:
    """The rows as prompts with an answer: the better of two, or the judged one."""
    for row in rows:
        if isinstance(row, Pair):
            yield row.chosen
        elif isinstance(row, Judged):
            yield row.answer


def _item(row: Learnable) -> Item:
    if isinstance(row, Question):
        prompt = str(row.fields.get("prompt", ""))
        kind = row.fields.get("slice")
        key = dumps([row.raw, list(row.ids)])
        return Item(row.source, row.line, kind if isinstance(kind, str) else "", key, prompt, "")
    sample = row.chosen if isinstance(row, Pair) else row.answer if isinstance(row, Judged) else row
    is_true = not isinstance(row, Judged) or row.desirable
    told = sample.row
    prompt = "\n".join(turn.content for turn in told.prompt)
    return Item(told.source, told.line, told.slice, told.prompt_key(), prompt, told.answer if is_true else "")
