"""Searches for the settings of a run: trains trials on one resident base, and finishes the best of them."""

import gc
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parfocal.engine import quick_imports, quiet_libraries
from parfocal.registry import Registry
from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.errors import (
    Diverged,
    Interrupted,
    InvalidConfig,
    MetricFailed,
    NothingToResume,
    RewardFailed,
    SearchFailed,
)
from parfocal.training.hyperparameters import base_facts, choose
from parfocal.training.reports import search_page
from parfocal.training.run import Begun, Checked, checked, write_settings
from parfocal.training.runs import (
    Checkpoint,
    Job,
    RunFolder,
    StopRequest,
    full_disk_named,
    resumed,
    sealed,
)
from parfocal.training.search import (
    Found,
    Outcome,
    SearchConfig,
    SearchResult,
    SearchWatcher,
    SilentSearchWatcher,
    Space,
    amounts,
    check_comparable,
    check_space,
    continued,
    default_space,
    grid,
    search_json,
    start_of,
)
from parfocal.training.signing import SigningKey
from parfocal.training.watching import followed_search, trial_watcher

if TYPE_CHECKING:
    from parfocal.training.methods import Fitted, ResidentBase
    from parfocal.training.search.trials import Running, Study

_FITTED = "fitted.json"
_MOST_RECORDED = 100  # trials in a version's provenance
_OWN_KEY = SigningKey()


def tune(
    config: TrainConfig,
    search: SearchConfig | None = None,
    watcher: SearchWatcher | None = None,
    registry: Registry | None = None,
    key: SigningKey = _OWN_KEY,
) -> SearchResult:
    """Trains with `config` and what `search` draws, and finishes and publishes the best as `train` does.

    Trials are compared by their lowest loss on the validation rows. On CPU each gives the adapter that
    `train` gives with the same settings, bit for bit.

    Raises:
        SearchFailed: no trial ended with an adapter.
        TrainingError: as `train`.
        RegistryError: as `train`.
    """
    search = search or SearchConfig()
    search.check()
    check_comparable(config, search.space or {})
    with followed_search(config, watcher or SilentSearchWatcher()) as (everyone, tell):
        ready = checked(config, everyone, registry, key)
        space = _accepted_space(ready, search)
        job = ready.begin()
        job.folder.write_search(search_json(search, space) | amounts(search))
        result = _carry_out(_Search(ready, job, replace(search, space=space), space, everyone))
        tell(result.to_json())
    return result


def resume_search(
    output: Path,
    search: SearchConfig | None = None,
    watcher: SearchWatcher | None = None,
    settings: Mapping[str, object] | None = None,
    key: SigningKey = _OWN_KEY,
) -> SearchResult:
    """Goes on with the search in `output`: trials that ended are kept, one that was cut off goes on.

    `search` may raise the number of trials, of a finished search, too, and set other minutes; `settings` are
    those that `resume` takes.

    Raises:
        NothingToResume: the folder holds no search, or one whose trials have all ended.
        ResumeMismatch: a setting, the space, the data, the base or the recipe is not what it began with.
        RunDamaged: a record is not as it was written.
    """
    folder, began = RunFolder.open(output)
    if not folder.is_search:
        raise NothingToResume(
            f"{folder.path} holds a run, not a search; go on with: "
            f"parfocal train --resume --output {folder.path}",
            field="output",
        )
    stored = folder.read_search()
    whole = continued(stored, search or SearchConfig(), folder.path)
    config = resumed(replace(began, output=folder.path), settings or {})
    with followed_search(config, watcher or SilentSearchWatcher()) as (everyone, tell):
        begun = Begun(folder, None)
        ready = checked(config, everyone, None, key, begun)
        job = ready.begin(begun)
        folder.write_search(search_json(whole, whole.space or {}) | amounts(whole))
        result = _carry_out(_Search(ready, job, whole, whole.space or {}, everyone))
        tell(result.to_json())
    return result


@dataclass(frozen=True, slots=True)
class _Search:
    """A search under way: `ready` and `job` are its run as if nothing were searched."""

    ready: Checked
    job: Job
    config: SearchConfig
    space: Space
    watcher: SearchWatcher

    def settings_of(self, values: Mapping[str, Any], output: Path) -> TrainConfig:
        """The settings of a trial, which publishes nothing; raises InvalidConfig."""
        elsewhere: dict[str, Any] = {"sign_key": None, "events": None, "track": ()}
        if self.job.config.parent is None:  # else the trial's settings must say where the parent is
            elsewhere["registry"] = None
        config = replace(self.job.config, **values, output=output, **elsewhere)
        config.check()
        return config

    def chosen(self, config: TrainConfig) -> Checked:
        """The run of a trial, as `checked` would give it, from what is read already."""
        planned = self.ready.planned
        chosen = choose(config, planned.prepared.facts, base_facts(planned.base.folder))
        prepared = replace(planned.prepared, hyperparameters=chosen)
        mine = replace(planned, config=config, prepared=prepared, hyperparameters=chosen)
        return replace(self.ready, planned=mine, sign=None)


def _carry_out(search: _Search) -> SearchResult:
    job = search.job
    with quiet_libraries():
        with quick_imports():
            from parfocal.training.computing import fixed_threads, give_back_memory
            from parfocal.training.finishing import finish
            from parfocal.training.methods import ResidentBase
            from parfocal.training.search.trials import Study

        with fixed_threads(), full_disk_named(job.folder.path, "tune"), _named_anew(job.folder):
            study = Study(job.folder.study, search.space, search.config, job.config.seed)
            _refuse_nothing_left(job.folder, study)
            with StopRequest(job.watcher.say) as stop:
                _run_trials(search, study, ResidentBase(), stop)
            gc.collect()
            give_back_memory()
            found = study.found
            winner, fitted = _winner(search, found)
            write_settings(winner)
            job.folder.search_report.write_text(search_page(found, search.space, job.config.name), "utf-8")
            for line in found.lines():
                job.watcher.say(line)
            result = SearchResult(found, finish(winner, fitted), job.folder.search_report)
            job.folder.write_result(result.to_json())
    for line in (*result.result.lines(), f"Report of the search: {result.report}"):
        job.watcher.say(line)
    return result


def _run_trials(search: _Search, study: "Study", resident: "ResidentBase", stop: StopRequest) -> None:
    """Runs what is left of the trials, one after the other, on the resident base."""
    start = start_of(search.job.config, search.job.hyperparameters, search.space)
    best = study.found.best
    while (trial := study.next(start)) is not None:
        search.watcher.began(trial.number, study.count, trial.settings)
        outcome, reason = _run_trial(search, trial, resident, stop)
        trial.ended(outcome, reason)
        found = study.found
        best = _tidied(search.job.folder, found, trial.number)
        search.watcher.ended(found.trials[trial.number - 1], study.count, best)
        gc.collect()  # the trainer and its optimiser form a cycle
        if stop.made and study.left:
            raise _interrupted(search.job.folder, trial.number, study.count, stop)
        if search.config.minutes is not None and found.seconds >= 60 * search.config.minutes:
            search.watcher.say(f"No further trial begins: {search.config.minutes:g} minutes are over")
            return


def _run_trial(
    search: _Search, trial: "Running", resident: "ResidentBase", stop: StopRequest
) -> tuple[Outcome, str]:
    """Trains one trial, from its checkpoint if it has one; says how it ended."""
    from parfocal.training.computing import fixed_threads
    from parfocal.training.methods import fit
    from parfocal.training.search.trials import JudgingWatcher, Pruned

    began = time.monotonic()

    def spent() -> float:
        return time.monotonic() - began

    path = search.job.folder.trial(trial.number)
    try:
        ready = search.chosen(search.settings_of(trial.settings, path))
    except InvalidConfig as error:
        return Outcome.REFUSED, str(error)
    judging = JudgingWatcher(trial, search.watcher, spent)
    begun = _begun(path)
    try:
        with trial_watcher(search.job.config, trial.number, ready.planned.config, judging) as watcher:
            job = replace(ready, watcher=watcher).begin(begun)
            with fixed_threads():  # a run leaves torch at one thread, which would be the next one's limit
                fitted = fit(job, begun.checkpoint if begun else None, resident, stop)
    except Pruned:
        return Outcome.PRUNED, ""
    except Diverged as error:
        return Outcome.DIVERGED, str(error).partition(";")[0]
    except Interrupted as error:
        raise _interrupted(search.job.folder, trial.number, 0, stop, error) from error
    finally:
        trial.spent(spent())
    job.folder.write(_FITTED, sealed(asdict(fitted)))
    return Outcome.FINISHED, ""


def _begun(path: Path) -> Begun | None:
    """The trial that was cut off in `path`; None where it had not really begun."""
    if not (path / "run.json").is_file():
        shutil.rmtree(path, ignore_errors=True)
        return None
    folder, _ = RunFolder.open(path)
    checkpoint: Checkpoint | None = folder.checkpoints.latest()
    return Begun(folder, checkpoint)


def _tidied(folder: RunFolder, found: Found, last: int) -> Any:
    """Removes the last trial's checkpoints, and all adapters but the best: settings.toml gives each again."""
    best = found.best
    if (folder.trial(last) / "run.json").is_file():  # a trial that was refused has no run
        RunFolder(folder.trial(last)).checkpoints.clear()
    for trial in found.trials:
        if best is None or trial.number != best.number:
            shutil.rmtree(RunFolder(folder.trial(trial.number)).adapter, ignore_errors=True)
    return best


def _winner(search: _Search, found: Found) -> tuple[Job, "Fitted"]:
    """The best trial as the run of the search's own folder, with its adapter there.

    Raises:
        SearchFailed: no trial ended with an adapter.
    """
    from parfocal.training.methods import Fitted

    best = found.best
    if best is None:
        ended = ", ".join(f"{count} {how}" for how, count in found.counts().items())
        raise SearchFailed(
            f"no trial ended with an adapter ({ended}); search lower learning rates, or use pruner none",
            field="search",
        )
    trial, root = RunFolder(search.job.folder.trial(best.number)), search.job.folder
    stored = trial.read_sealed(_FITTED)
    stored.pop("seal")
    fitted = Fitted(**stored)  # type: ignore[arg-type]  # sealed: it is what asdict gave
    draft = root.adapter.with_name("adapter.part")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(trial.adapter, draft)
    shutil.rmtree(root.adapter, ignore_errors=True)
    draft.rename(root.adapter)
    planned = search.chosen(replace(search.job.config, **best.settings)).planned
    winner = replace(
        search.job,
        config=planned.config,
        prepared=planned.prepared,
        hyperparameters=planned.hyperparameters,
        origin={"search": _recorded(found, search)},
    )
    return winner, fitted


def _recorded(found: Found, search: _Search) -> dict[str, JSON]:
    """What the provenance says of the search: every trial without its curve, the best of very many."""
    best = found.best
    order = sorted(found.trials, key=lambda each: float("inf") if each.loss is None else each.loss)
    trials = [each.to_json() for each in sorted(order[:_MOST_RECORDED], key=lambda each: each.number)]
    kept = ("trial", "settings", "outcome", "loss", "steps")
    return {
        **search_json(search.config, search.space),
        "best": None if best is None else best.number,
        "ended": dict(found.counts()),
        "trials": [{name: each[name] for name in kept} for each in trials],
    }


def _accepted_space(ready: Checked, search: SearchConfig) -> Space:
    """What is searched, refused before anything is on disk where a run would refuse it."""
    planned = ready.planned
    config, chosen = planned.config, planned.hyperparameters
    if not planned.prepared.validation:
        raise InvalidConfig(
            "there are no validation rows to compare trials by; give --validation FILE, or more rows",
            field="validation",
        )
    space = search.space or default_space(config, chosen, search.fixed)
    check_space(config, space)
    start_of(config, chosen, space)
    if search.sampler == "grid":
        next(grid(space))
    for name, dimension in space.items():
        ready.watcher.say(f"{'searched':<14}{name}: {dimension}")
    return space


def _refuse_nothing_left(folder: RunFolder, study: "Study") -> None:
    if folder.finished and not study.left:
        raise NothingToResume(
            f"all {study.count} trials of the search in {folder.path} have ended; for more: parfocal tune "
            f"--resume --output {folder.path} --trials {2 * study.count}",
            field="output",
        )


def _interrupted(
    folder: RunFolder, trial: int, count: int, stop: StopRequest, error: Interrupted | None = None
) -> Interrupted:
    where = f"in trial {trial} at step {error.step}" if error else f"after trial {trial} of {count}"
    return Interrupted(
        f"stopped {where}; go on with: parfocal tune --resume --output {folder.path}",
        checkpoint=folder.path,
        step=error.step if error else 0,
        exit_code=stop.exit_code,
    )


@contextmanager
def _named_anew(folder: RunFolder) -> Iterator[None]:
    """Where the error of a trial's run says how to go on with it, says how to go on with the search."""
    try:
        yield
    except (MetricFailed, RewardFailed) as error:
        what = str(error).partition("parfocal train --resume")[0]
        again = f"{what}parfocal tune --resume --output {folder.path}"
        raise type(error)(again, field=error.field) from error
