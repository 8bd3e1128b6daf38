"""What follows training: export, the final comparison with the base, the curve, the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from parfocal.registry import Evaluation, Provenance, Publication, RegistryError, Rendering, Version
from parfocal.registry.values import JSON, WEIGHTS_FILE
from parfocal.training.assessing import assess
from parfocal.training.attaching import write_attachments
from parfocal.training.data import Sample
from parfocal.training.evaluation import Result
from parfocal.training.marking import assess_marks
from parfocal.training.methods import Fitted
from parfocal.training.publishing import check_adapter, publication_json
from parfocal.training.reports import write_report
from parfocal.training.runs import (
    Figures,
    Gain,
    Job,
    TrainResult,
    draw_curve,
    file_digests,
    tool_versions,
)
from parfocal.training.settings import resolved_settings

# What a version says at another place, or what is of this machine only.
_ELSEWHERE = frozenset(
    {
        *("data", "validation", "held_out", "replay", "output", "registry", "events", "track"),
        "checkpoint_minutes",
        "process_minutes",
        *("tags", "sign_key"),
        *("name", "base", "parent", "seed", "template_variables", "metrics", "answers", "probes"),
    }
)


def finish(job: Job, fitted: Fitted) -> TrainResult:
    """Scores base and exported adapter as served, draws the curve, and publishes as configured.

    Raises:
        RunDamaged: the adapter's files are no longer those that training wrote.
        MetricFailed: a metric gave no number for an answer; the run can be resumed with another.
        RegistryError: it could not be published; `publish_run` can do that later.
    """
    job.watcher.say("Scoring base and adapter on the held-out rows")
    compared = _compared(job, fitted)
    draw_curve(fitted.history, job.folder.curve, f"{job.config.name} on {job.base.id}")
    found = compared.found
    report = write_report(found.evaluated, job.folder.evaluation)
    draft = TrainResult(
        name=job.config.name,
        version=None,
        digest=None,
        output=job.folder.path,
        adapter_folder=job.folder.adapter,
        curve=job.folder.curve,
        steps=fitted.steps,
        best_step=fitted.best_step,
        still_falling=fitted.still_falling,
        seconds=fitted.seconds,
        tokens_per_second=fitted.tokens / fitted.seconds,
        examples=len(job.prepared.held_out),
        base=compared.base,
        adapter=compared.adapter,
        gains=compared.gains,
        evaluated=found.evaluated,
        report=report,
        recorded=found.recorded(len(found.own) - 1),
    )
    attached = write_attachments(job.folder.attachments, job.prepared.report, draft.evaluated)
    publication = replace(_publication(job, draft), attachments=attached)
    job.folder.write(
        job.folder.publication.name,
        publication_json(publication, fitted.files, file_digests(job.folder.attachments)),
    )
    check_adapter(job.folder, fitted.files)
    published = _publish(job, publication)
    if published is not None:
        draft = replace(draft, version=published.version, digest=published.digest)
    job.folder.write_result(draft.to_json())
    return draft


@dataclass(frozen=True, slots=True)
class _Compared:
    """Base and adapter beside each other, out of all that was `found`."""

    base: Figures
    adapter: Figures
    gains: Mapping[str, Gain]
    found: Result


def _compared(job: Job, fitted: Fitted) -> _Compared:
    """By the engine that serves; what tells answers apart is marked as while training."""
    samples = [row for row in job.prepared.held_out if isinstance(row, Sample)]
    digest = fitted.files[WEIGHTS_FILE]
    answers = len(samples) == len(job.prepared.held_out)
    found = assess(job, samples, digest) if answers else assess_marks(job, digest)
    whole = [each for each in found.evaluated.figures if not each.slice and "." not in each.name]
    base, adapter = ({each.name: each.estimate(arm).value for each in whole} for arm in (0, -1))
    gains = {each.name: Gain.of(each.improvement(-1)) for each in whole if each.improvements[-1] is not None}
    return _Compared(_figures(base), _figures(adapter), gains, found)


def _figures(values: Mapping[str, float]) -> Figures:
    return Figures(values["loss"], {name: value for name, value in values.items() if name != "loss"})


def _publish(job: Job, publication: Publication) -> Version | None:
    if job.registry is None:
        return None
    job.watcher.say(f"Publishing {job.config.name} to {job.config.registry or 'the registry'}")
    signed = replace(publication, sign=job.sign)
    try:
        return job.registry.publish(job.config.name, job.folder.adapter, signed)
    except RegistryError:
        again = f"parfocal train --publish-run {job.folder.path}"
        job.watcher.say(f"Not published; the adapter is whole. Publish it later with: {again}")
        raise


def _publication(job: Job, result: TrainResult) -> Publication:
    return Publication(
        base=job.contract,
        provenance=Provenance(
            data_digest=job.prepared.data_digest,
            hyper_parameters=_hyper_parameters(job, result),
            seed=job.config.seed,
            tools=tool_versions(),
            parent=job.parent.name if job.parent else None,
        ),
        evaluation=Evaluation(job.prepared.held_out_digest, result.examples, result.metrics()),
        rendering=_rendering(job),
        tags=job.config.tags,
    )


def _rendering(job: Job) -> Rendering:
    if all(example.raw for example in job.prepared.train):
        return Rendering("raw")
    return Rendering("chat", job.contract.chat_template_digest, job.config.template_variables)


def _hyper_parameters(job: Job, result: TrainResult) -> dict[str, JSON]:
    """What determines the adapter besides data, base and seed, and the rows it was made and measured on."""
    settings = resolved_settings(job.config, job.hyperparameters)
    return {
        **{name: value for name, value in settings.items() if name not in _ELSEWHERE},
        **job.hyperparameters.to_json(),
        "most_steps": job.hyperparameters.steps,
        "steps": result.steps,
        "rendering": _rendering(job).form,
        "keep": job.config.keep,
        "kept_step": result.best_step,
        "micro_batch": job.hyperparameters.micro_batch,
        **job.prepared.split,
        "data_report": job.prepared.report.summary(),
        "parent_digest": job.parent.digest if job.parent else None,
        "begun_with": job.folder.other_tools(tool_versions()) or None,
        "held_out_fraction": job.config.held_out_fraction if _takes_from_data(job) else None,
        **job.origin,
    }


def _takes_from_data(job: Job) -> bool:
    config = job.config
    return config.held_out is None or (config.chooses and config.validation is None)
