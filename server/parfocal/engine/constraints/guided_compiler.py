"""Compiles with llguidance: reads a spec, tries it in a process of its own, and then compiles it here."""

import threading
from typing import TYPE_CHECKING

from parfocal.engine.constraints.compiler import CompilerLimits, ConstraintCompiler
from parfocal.engine.constraints.constraint import Constraint
from parfocal.engine.constraints.grammar_texts import grammar_text
from parfocal.engine.constraints.guided import GuidedVocabulary, vocabulary_text
from parfocal.engine.constraints.specs import ConstraintSpec
from parfocal.engine.constraints.trial import Trial, TrialLimits
from parfocal.engine.errors import ConstraintsUnavailable

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def open_compiler(
    tokenizer: "Tokenizer",
    vocabulary: int,
    eos_ids: tuple[int, ...],
    limits: CompilerLimits | None = None,
    trial_limits: TrialLimits | None = None,
) -> ConstraintCompiler:
    """A compiler for the base with this tokenizer, `vocabulary` logits and these end tokens.

    Nothing is loaded before `ConstraintCompiler.prepare` or the first spec.
    """
    return ConstraintCompiler(_Guided(tokenizer, vocabulary, eos_ids, trial_limits), limits)


class _Guided:
    """What llguidance needs for one base, made when it is first needed."""

    def __init__(
        self, tokenizer: "Tokenizer", vocabulary: int, eos_ids: tuple[int, ...], limits: TrialLimits | None
    ) -> None:
        self._tokenizer = tokenizer
        self._size = vocabulary
        self._eos_ids = eos_ids
        self._limits = limits
        self._lock = threading.Lock()
        added = tokenizer.get_added_tokens_decoder()
        self._added = {token.content: token_id for token_id, token in added.items()}
        self._opened: tuple[GuidedVocabulary, Trial] | None = None
        self._refusal = ""  # what was found once will be found again, and takes as long

    def prepare(self) -> None:
        """Loads the library and the vocabulary; the process for trials starts with the first one."""
        self._open()

    def build(self, spec: ConstraintSpec) -> Constraint:
        """Compiles one spec."""
        vocabulary, trial = self._open()
        grammar = grammar_text(spec, self._added)
        trial.check(grammar)
        return vocabulary.constraint(grammar)

    def close(self) -> None:
        """Ends the process for trials."""
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()

    def _open(self) -> tuple[GuidedVocabulary, Trial]:
        with self._lock:
            if self._refusal:
                raise ConstraintsUnavailable(self._refusal)
            if self._opened is None:
                self._opened = self._load()
            return self._opened

    def _load(self) -> tuple[GuidedVocabulary, Trial]:
        text = vocabulary_text(self._tokenizer)
        try:
            vocabulary = GuidedVocabulary(text, self._size, self._eos_ids)
        except ConstraintsUnavailable as error:
            self._refusal = str(error)
            raise
        return vocabulary, Trial(text, self._size, self._eos_ids, self._limits)
