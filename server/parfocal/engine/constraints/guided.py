"""Constraints that llguidance keeps: an Earley parser over derivatives of regular expressions.

Chosen over xgrammar: see tests/bench/constraints. The library is imported when the first constraint is made.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parfocal.engine.constraints.constraint import ConstraintState
from parfocal.engine.errors import ConstraintFailed, ConstraintRefused, ConstraintsUnavailable

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from tokenizers import Tokenizer

# How much a step may take, about 10 ms in all; an object of 2,000 optional properties has 8,000 items.
_STEP_LEXER_FUEL = 100_000
_STEP_ITEMS = 20_000
_ITEMS_IN_ROW = 10_000
# At one to two kilobytes.
_LEXER_STATES = 50_000


def vocabulary_text(tokenizer: "Tokenizer") -> str:
    """The tokenizer as JSON in which every added token is special: no text may be made of them."""
    fields = json.loads(tokenizer.to_str())
    for added in fields.get("added_tokens", ()):
        added["special"] = True
    # They belong to prompts, and llguidance refuses some of them.
    fields |= {"padding": None, "truncation": None}
    return json.dumps(fields)


class GuidedVocabulary:
    """The tokens of one base as llguidance knows them; makes constraints over them."""

    def __init__(self, text: str, vocabulary: int, eos_ids: Sequence[int]) -> None:
        """Takes what `vocabulary_text` gives. Holds the GIL, up to a second for a large vocabulary.

        Raises:
            ConstraintsUnavailable: llguidance is not installed, or does not know tokenizers of this kind.
        """
        if not eos_ids:
            raise ConstraintsUnavailable(
                "the base has no end token, and without one no answer could end where its constraint does; "
                "serve a base whose configuration names one"
            )
        self.size = vocabulary
        self._tokens = _tokens(text, vocabulary, eos_ids)

    def constraint(self, grammar: str) -> "GuidedConstraint":
        """Compiles a grammar, without the GIL.

        Raises:
            ConstraintRefused: the grammar is wrong or too large, or no text satisfies it.
        """
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(
            step_lexer_fuel=_STEP_LEXER_FUEL,
            step_max_items=_STEP_ITEMS,
            max_items_in_row=_ITEMS_IN_ROW,
            max_lexer_states=_LEXER_STATES,
            verbose_errors=False,
        )
        matcher = LLMatcher(self._tokens, grammar, log_level=0, limits=limits)
        if not matcher.is_error():
            matcher.compute_bitmask()
        if matcher.is_error():
            raise ConstraintRefused(_fault(matcher), field="output_format")
        return GuidedConstraint(matcher, self.size)


class GuidedConstraint:
    """A compiled grammar.

    Its answers share one lexer: what that has found out for one, it knows for the next. So they also share
    its limits, and once those are reached it is spent.
    """

    def __init__(self, matcher: "LLMatcher", vocabulary: int) -> None:
        self.is_spent = False
        self._matcher = matcher
        self._vocabulary = vocabulary

    @property
    def vocabulary(self) -> int:
        """How many tokens it was compiled for."""
        return self._vocabulary

    def start(self) -> ConstraintState:
        """The state of an empty answer."""
        return GuidedState(self, self._matcher.deep_copy())


class GuidedState:
    """How far one answer has come.

    A matcher that has failed calls itself stopped, and allows the end: here it has failed.
    """

    __slots__ = ("_constraint", "_matcher")

    def __init__(self, constraint: GuidedConstraint, matcher: "LLMatcher") -> None:
        self._constraint = constraint
        self._matcher = matcher

    @property
    def is_satisfied(self) -> bool:
        """Whether the answer may end here."""
        return not self._matcher.is_error() and self._matcher.is_accepting()

    @property
    def is_complete(self) -> bool:
        """Whether it must."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def allowed(self) -> bytes:
        """The tokens that may follow. Releases the GIL; raises ConstraintFailed."""
        bits = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            self._constraint.is_spent = True
            raise ConstraintFailed(
                f"the answer cannot go on under its constraint: {_told(self._matcher)}; ask for a simpler one"
            )
        return bits

    def allows(self, token_id: int) -> bool:
        """Whether this token may follow."""
        return self._matcher.validate_tokens([token_id]) == 1 and not self._matcher.is_error()

    def accept(self, token_id: int) -> None:
        """Goes on by a token; what is wrong with it comes out at the next `allowed`."""
        self._matcher.consume_token(token_id)


def _tokens(text: str, vocabulary: int, eos_ids: Sequence[int]) -> "LLTokenizer":
    try:
        from llguidance import LLTokenizer
    except ImportError as error:
        raise ConstraintsUnavailable(
            "structured output needs the package llguidance, which is not installed here: "
            "pip install 'parfocal[serve]'"
        ) from error
    try:
        return LLTokenizer(text, n_vocab=vocabulary, eos_token=list(eos_ids))
    except ValueError as error:
        raise ConstraintsUnavailable(
            f"structured output does not know the tokenizer of this base: {error}; serve another base"
        ) from error


def _fault(matcher: "LLMatcher") -> str:
    if "NoExtensionBias" in matcher.get_error():
        return "no text satisfies the constraint; allow more"
    return f"the constraint cannot be kept: {_told(matcher)}; change it"


def _told(matcher: "LLMatcher") -> str:
    """What llguidance says is wrong, on one line, without what it adds for its authors."""
    return " ".join(matcher.get_error().replace("<non-verbose/>", "").split())[:300]
