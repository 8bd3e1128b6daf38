"""The pre-training loop: batches -> loss -> step, with a complete base folder at every checkpoint."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import perf_counter

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer

from tiny_base.batches import Batch, BatchStream, Place
from tiny_base.card import write_card
from tiny_base.checkpoint import load_checkpoint, save_checkpoint
from tiny_base.encoding import Encoder
from tiny_base.export import export_tokenizer, export_weights
from tiny_base.history import History, Point
from tiny_base.network import Network
from tiny_base.optimiser import Optimiser, Schedule
from tiny_base.probes import ProbeResult, measure
from tiny_base.progress import Reporter
from tiny_base.settings import Settings
from tiny_base.tasks.corpus import documents
from tiny_base.tokenizer import train_tokenizer
from tiny_base.writing.source import Source


class Pretraining:
    """One run into one folder."""

    def __init__(self, settings: Settings, folder: Path, reporter: Reporter, resume: bool = False) -> None:
        """Makes (or, to resume, reads) the tokenizer and the state; raises ResumeError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._settings, self._folder, self._reporter = settings, folder, reporter
        self._network = Network(settings.shape, settings.seed)
        self._optimiser = Optimiser(self._network)
        self._schedule = Schedule(
            settings.peak_rate, settings.warm_up, settings.steps, settings.polish_rate, settings.polish_steps
        )
        self._step, place, self._history = 0, Place(), History()
        if resume:
            self._step, place, self._history = load_checkpoint(
                folder, settings, (self._network, self._optimiser)
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            self._tokenizer = self._new_tokenizer()
        self._encoder = Encoder(self._tokenizer)
        self._stream = BatchStream(self._encoder, settings, place)

    def run(self, until: int | None = None) -> dict[str, ProbeResult]:
        """Trains to the last step, or stops after step `until`; returns the held-out scores.

        A finished run that is resumed is only measured again.
        """
        last = min(self._settings.last_step, until or self._settings.last_step)
        batches = iter(self._stream)
        losses: list[float] = []
        while self._step < last:
            losses.append(self._train_on(batches))
            if self._step < last and self._step % self._settings.checkpoint_every == 0:
                self._checkpoint(losses)
                losses.clear()
        return self._checkpoint(losses)

    def _train_on(self, batches: Iterator[Batch]) -> float:
        """Takes one step; returns its loss."""
        started = perf_counter()
        batch = next(batches)
        loss = self._network.loss(batch.tokens, batch.weights)
        loss.backward()
        self._optimiser.step(self._schedule.rate(self._step))
        self._step += 1
        elapsed = perf_counter() - started
        tokens = int((batch.tokens > 0).sum())
        self._history.tokens += tokens
        self._history.seconds += elapsed
        self._reporter.step(self._step, loss.item(), tokens / elapsed)
        return loss.item()

    def _new_tokenizer(self) -> Tokenizer:
        self._reporter.note(f"learning a tokenizer from {self._settings.tokenizer_documents} documents")
        texts = islice(
            documents(Source(f"{self._settings.seed}/tokenizer")), self._settings.tokenizer_documents
        )
        tokenizer = train_tokenizer(texts, self._settings.shape.vocabulary)
        export_tokenizer(tokenizer, self._settings.shape, self._folder)
        return tokenizer

    def _checkpoint(self, losses: list[float]) -> dict[str, ProbeResult]:
        """Measures, then writes the base folder and what a resumed run needs."""
        held_out, known = (
            measure(self._network, self._encoder, self._settings.probe_documents, held_out=new)
            for new in (True, False)
        )
        overall, history = held_out["all"], self._history
        if losses:
            train_loss = sum(losses) / len(losses)
            history.points.append(
                Point(self._step, history.tokens, history.seconds, train_loss, overall.loss, overall.exact)
            )
        export_weights(self._network, self._tokenizer, self._folder)
        self._write_report({"held_out": held_out, "known_wording": known})
        save_checkpoint(
            self._folder,
            self._settings,
            (self._network, self._optimiser),
            (self._step, self._stream.place),
            history,
        )
        self._reporter.note(
            f"checkpoint at step {self._step}: {history.tokens:,} tokens, {history.seconds:.0f} s, held-out"
            f" loss {overall.loss:.3f}, exact {overall.exact:.2f} (known wording {known['all'].exact:.2f})"
        )
        return held_out

    def _write_report(self, scores: dict[str, dict[str, ProbeResult]]) -> None:
        """Writes pretraining.json and the card made from it."""
        report = {
            "settings": self._settings.as_json(),
            "parameters": sum(parameter.numel() for parameter in self._network.parameters()),
            "history": self._history.as_json(),
            "tools": _tools(),
            **{
                name: {task: asdict(score) for task, score in found.items()} for name, found in scores.items()
            },
        }
        (self._folder / "pretraining.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        write_card(self._folder)


def _tools() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "threads": str(torch.get_num_threads()),
    }
