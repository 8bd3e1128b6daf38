"""The pre-training loop: batches -> loss -> step, with a complete base folder at every checkpoint."""

import json
import platform
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import perf_counter

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer

from parfocal.training.pretrain.batches import BatchStream, Place
from parfocal.training.pretrain.card import write_card
from parfocal.training.pretrain.checkpoint import load_checkpoint, save_checkpoint
from parfocal.training.pretrain.corpus import documents
from parfocal.training.pretrain.encoding import Encoder
from parfocal.training.pretrain.export import export_tokenizer, export_weights
from parfocal.training.pretrain.history import History, Point
from parfocal.training.pretrain.network import Network
from parfocal.training.pretrain.optimiser import Optimiser, Schedule
from parfocal.training.pretrain.probes import Score, held_out_scores
from parfocal.training.pretrain.progress import Reporter
from parfocal.training.pretrain.recipe import Recipe
from parfocal.training.pretrain.source import Source
from parfocal.training.pretrain.tokenizer import train_tokenizer


class Pretraining:
    """One run into one folder."""

    def __init__(self, recipe: Recipe, folder: Path, reporter: Reporter, resume: bool = False) -> None:
        """Makes (or, to resume, reads) the tokenizer and the state; raises ResumeError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._recipe, self._folder, self._reporter = recipe, folder, reporter
        self._network = Network(recipe.shape, recipe.seed)
        self._optimiser = Optimiser(self._network)
        self._step, place, self._history = 0, Place(), History()
        if resume:
            self._step, place, self._history = load_checkpoint(
                folder, recipe, (self._network, self._optimiser)
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            self._tokenizer = self._new_tokenizer()
        self._encoder = Encoder(self._tokenizer)
        self._stream = BatchStream(self._encoder, recipe.seed, recipe.batch_tokens, place)

    def run(self, until: int | None = None) -> dict[str, Score]:
        """Trains to the recipe's last step, or stops after step `until`; returns the held-out scores."""
        schedule = Schedule(self._recipe.peak_rate, self._recipe.warm_up, self._recipe.steps)
        last = min(self._recipe.steps, until or self._recipe.steps)
        losses: list[float] = []
        scores: dict[str, Score] = {}
        batches = iter(self._stream)
        while self._step < last:
            started = perf_counter()
            batch = next(batches)
            loss = self._network.loss(batch.tokens, batch.weights)
            loss.backward()
            self._optimiser.step(schedule.rate(self._step))
            self._step += 1
            losses.append(loss.item())
            elapsed = perf_counter() - started
            real = int((batch.tokens > 0).sum())
            self._history.tokens += real
            self._history.seconds += elapsed
            self._reporter.step(self._step, losses[-1], real / elapsed)
            if self._step % self._recipe.checkpoint_every == 0 or self._step == last:
                scores = self._checkpoint(sum(losses) / len(losses))
                losses.clear()
        return scores

    def _new_tokenizer(self) -> Tokenizer:
        self._reporter.note(f"learning a tokenizer from {self._recipe.tokenizer_documents} documents")
        texts = islice(documents(Source(f"{self._recipe.seed}/tokenizer")), self._recipe.tokenizer_documents)
        tokenizer = train_tokenizer(texts, self._recipe.shape.vocabulary)
        export_tokenizer(tokenizer, self._recipe.shape, self._folder)
        return tokenizer

    def _checkpoint(self, train_loss: float) -> dict[str, Score]:
        """Measures, then writes the base folder and what a resumed run needs."""
        scores = held_out_scores(self._network, self._encoder, self._recipe.probe_documents)
        overall, history = scores["all"], self._history
        history.points.append(
            Point(
                self._step, history.tokens, round(history.seconds, 1), train_loss, overall.loss, overall.exact
            )
        )
        export_weights(self._network, self._tokenizer, self._folder)
        report = {
            "recipe": self._recipe.as_json(),
            "parameters": sum(parameter.numel() for parameter in self._network.parameters()),
            "history": history.as_json(),
            "held_out": {task: asdict(score) for task, score in scores.items()},
            "tools": _tools(),
        }
        (self._folder / "pretraining.json").write_text(json.dumps(report, indent=2) + "\n")
        write_card(self._folder)
        save_checkpoint(
            self._folder,
            self._recipe,
            (self._network, self._optimiser),
            (self._step, self._stream.place),
            history,
        )
        self._reporter.note(
            f"checkpoint at step {self._step}: {history.tokens:,} tokens, {history.seconds:.0f} s, train loss"
            f" {train_loss:.3f}, held-out loss {overall.loss:.3f}, exact {overall.exact:.2f}; "
            + " ".join(f"{task} {score.exact:.2f}" for task, score in scores.items())
        )
        return scores


def _tools() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "threads": str(torch.get_num_threads()),
    }
