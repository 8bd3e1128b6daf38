"""Trains the adapter of a job on its 4-bit base, from the start or from a checkpoint. Publishes nothing."""

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass

from peft import PeftModel
from safetensors.torch import load_file

from parfocal.training.data import BaseEncoder
from parfocal.training.errors import Diverged, Interrupted, MetricFailed, RewardFailed
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights, training_device
from parfocal.training.methods.choosing import method_of
from parfocal.training.methods.export import WEIGHTS, export
from parfocal.training.methods.method import Measure, Method, Setting
from parfocal.training.methods.order import row_order, step_sizes
from parfocal.training.methods.ordered import run_trainer
from parfocal.training.methods.resident import ResidentBase
from parfocal.training.methods.schedule import Schedule
from parfocal.training.methods.supervision import Best, Company, Pace, Supervision, history_file
from parfocal.training.processes import Peers
from parfocal.training.rewards import Bench, guarded_rewards
from parfocal.training.runs import Checkpoint, Digests, History, Job, StopRequest, file_digests


@dataclass(frozen=True, slots=True)
class Fitted:
    """How training went; the kept adapter is in the run's folder, with the digests `files`.

    `tokens` are those of this part. Only the process that leads has `files`.
    """

    steps: int
    best_step: int
    still_falling: bool
    history: History
    seconds: float
    tokens: int
    files: Digests


def fit(
    job: Job,
    checkpoint: Checkpoint | None,
    resident: ResidentBase | None = None,
    asked: StopRequest | None = None,
) -> Fitted:
    """Trains the adapter of `job` to its last step and exports the one to keep.

    Several runs may share a `resident` base, and who may stop them, `asked`; otherwise each has its own.

    Raises:
        Interrupted: a signal asked to stop; a whole checkpoint is in the job's folder.
        Diverged: the loss is no longer a number, or far above the base's; the best adapter until then is
            in the job's folder.
        GradientsLost: the base no longer passes gradients.
        PeerLost: another process of the run has ended, or does not come.
    """
    resident = resident or ResidentBase()
    stopping = StopRequest(job.watcher.say) if asked is None else nullcontext(asked)
    setting = setting_of(job)
    try:
        with resident.adapted(job) as model, stopping as stop:
            if job.parent is not None and job.parent.folder is not None:
                set_adapter_weights(model, load_file(job.parent.folder / WEIGHTS))
            _begin_alike(model, job.peers)
            method = method_of(setting, job.prepared.train)
            measure = resident.measure(setting, job.prepared.validation or job.prepared.held_out)
            return _fit(job, model, method, _supervision(job, measure, method, stop), checkpoint)
    finally:
        setting.close()


def _fit(
    job: Job, model: PeftModel, method: Method, supervision: Supervision, checkpoint: Checkpoint | None
) -> Fitted:
    started = time.monotonic()
    schedule = supervision.schedule
    if checkpoint is None:
        method.begin(model)
    else:
        method.restore(checkpoint.folder)
        supervision.restore(checkpoint)
    try:
        history, tokens = _train(job, model, method, supervision, checkpoint)
    except Diverged as error:
        raise _with_best(job, model, supervision.best, error) from error
    seconds = time.monotonic() - started
    if not job.peers.place.leads:
        return Fitted(schedule.end, 0, schedule.still_falling, history, seconds, tokens, {})
    kept = _kept(job, model, supervision.best, schedule.end)
    export(model, kept.weights, job.folder.adapter, job.base, job.config.adapter_dtype)
    files = file_digests(job.folder.adapter)
    return Fitted(schedule.end, kept.step, schedule.still_falling, history, seconds, tokens, files)


def _begin_alike(model: PeftModel, peers: Peers) -> None:
    """Gives every process the leader's adapter; it alone has read a parent's."""
    if peers.place.size > 1:
        set_adapter_weights(model, peers.told(adapter_weights(model)))


def setting_of(job: Job) -> Setting:
    """What a method is told of the run."""
    encoder = BaseEncoder(job.base.folder, job.config.template_variables)
    device = training_device(job.config).device
    config, folder = job.config, job.folder.checkpoints.folder
    if config.method != "grpo":
        return Setting(config, job.hyperparameters, encoder, device, folder)
    bench = Bench(job.base.folder, job.contract, str(device), job.registry)
    rewards = guarded_rewards(config.rewards, config.reward_seconds, bench)
    return Setting(config, job.hyperparameters, encoder, device, folder, rewards)


def _supervision(job: Job, measure: Measure, method: Method, stop: StopRequest) -> Supervision:
    pace = Pace(
        Schedule(job.hyperparameters),
        job.hyperparameters.evaluate_every,
        job.config.checkpoint_minutes * 60,
        "validation" if job.prepared.validation else "held-out",
        _work(job),
        method.keep,
    )
    return Supervision(measure, pace, job.folder.checkpoints, Company(stop, job.watcher, job.peers))


def _work(job: Job) -> list[int]:
    """Each step's size in tokens, so that the time left is foretold from the rows that are left."""
    chosen = job.hyperparameters
    lengths = [each.size for each in job.prepared.train]
    batch = job.config.batch_size
    order = row_order(lengths, batch, chosen.steps, job.config.seed)
    return step_sizes([lengths[index] for index in order], chosen.micro_batch, batch)


def _train(
    job: Job,
    model: PeftModel,
    method: Method,
    supervision: Supervision,
    checkpoint: Checkpoint | None,
) -> tuple[History, int]:
    """Trains to the last step and returns the log and the tokens seen, or raises Interrupted."""
    if checkpoint is not None and checkpoint.step >= supervision.schedule.end:
        set_adapter_weights(model, load_file(checkpoint.folder / WEIGHTS))
        return json.loads(history_file(checkpoint.folder).read_text())["log_history"], 0
    trainer = method.build(model, supervision)
    trainer.schedule = supervision.schedule
    try:
        run_trainer(trainer, checkpoint.folder if checkpoint else None)
    except (MetricFailed, RewardFailed) as error:
        supervision.save_now(trainer)
        raise type(error)(
            f"{error}; mend it and go on with: parfocal train --resume --output {job.folder.path}",
            field=error.field,
        ) from error
    state = trainer.state
    if state.global_step < supervision.schedule.end:
        raise Interrupted(
            f"stopped at step {state.global_step} of {supervision.schedule.end}; go on with: "
            f"parfocal train --resume --output {job.folder.path}",
            checkpoint=job.folder.path,
            step=state.global_step,
            exit_code=supervision.stop.exit_code,
        )
    return state.log_history, int(state.num_input_tokens_seen)


def _kept(job: Job, model: PeftModel, best: Best | None, last: int) -> Best:
    """The best adapter, if the rows it was best on are not those that are reported."""
    if job.config.keep == "best" and job.prepared.validation and best is not None:
        return best
    return Best(last, float("nan"), adapter_weights(model))


def _with_best(job: Job, model: PeftModel, best: Best | None, error: Diverged) -> Diverged:
    """Keeps the best adapter until then, which is not published: nobody asked for a run cut short."""
    if best is None or not job.peers.place.leads:
        return error
    export(model, best.weights, job.folder.adapter, job.base, job.config.adapter_dtype)
    return Diverged(
        f"{error}; the best adapter until then, of step {best.step} with a loss of {best.loss:.4f}, is in "
        f"{job.folder.adapter}: publish it with parfocal push {job.folder.adapter} {job.config.name}",
        step=error.step,
        adapter=job.folder.adapter,
    )
