"""The looks of the last minute, and what they show together."""

from collections import deque
from dataclasses import dataclass, replace

from parfocal.cli.monitoring.figures import Figures, figures_between
from parfocal.cli.monitoring.look import Look
from parfocal.client import Model

_WINDOW_S = 60.0
_TRACE = 120


@dataclass(frozen=True, slots=True)
class View:
    """What a frame shows: the latest look, its figures, and how tokens per second went before, oldest first.

    `model` is what is known of a server that does not answer now.
    """

    look: Look
    model: Model | None
    figures: Figures | None
    tokens_per_s: tuple[float, ...] = ()
    first_token_s: tuple[float, ...] = ()


class History:
    """Adds look after look. Rates are between two looks, quantiles and errors of the last minute."""

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._window_s = window_s
        self._looks: deque[Look] = deque()
        self._model: Model | None = None
        self._tokens: deque[float] = deque(maxlen=_TRACE)
        self._first: deque[float] = deque(maxlen=_TRACE)

    def add(self, look: Look) -> View:
        """What is to be seen now that this was."""
        self._model = look.model or self._model
        figures = None
        if look.page is None:
            self._looks.clear()  # what comes back may be another server
        else:
            figures = self._figures(look)
            self._tokens.append(figures.tokens_per_s or 0.0)
            self._first.append(figures.first_token.p50 if figures.first_token else 0.0)
            self._looks.append(look)
        return View(look, self._model, figures, tuple(self._tokens), tuple(self._first))

    def _figures(self, look: Look) -> Figures:
        assert look.page is not None
        while len(self._looks) > 1 and look.taken_s - self._looks[0].taken_s > self._window_s:
            self._looks.popleft()
        if not self._looks:
            return figures_between(look.page, None, None)
        oldest, last = self._looks[0], self._looks[-1]
        recent = figures_between(look.page, last.page, look.taken_s - last.taken_s)
        return replace(
            figures_between(look.page, oldest.page, look.taken_s - oldest.taken_s),
            tokens_per_s=recent.tokens_per_s,
            prompt_tokens_per_s=recent.prompt_tokens_per_s,
            tokens_by_adapter=recent.tokens_by_adapter,
            requests_by_adapter=recent.requests_by_adapter,
        )
