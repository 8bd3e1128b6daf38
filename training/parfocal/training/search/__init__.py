"""Looks for the best settings of a run: what is searched, how, what the trials tell. No torch, no optuna."""

from parfocal.training.search.accepting import amounts, check_comparable, continued
from parfocal.training.search.progress import SearchWatcher, SilentSearchWatcher
from parfocal.training.search.records import Found, Outcome, Scoring, Trial
from parfocal.training.search.result import SearchResult
from parfocal.training.search.settings import (
    PRUNERS,
    SAMPLERS,
    SearchConfig,
    read_search,
    search_config,
    search_json,
)
from parfocal.training.search.space import (
    SEARCHED,
    Choices,
    Range,
    Space,
    check_space,
    default_space,
    grid,
    shown,
    start_of,
    words,
)

__all__ = [
    "PRUNERS",
    "SAMPLERS",
    "SEARCHED",
    "Choices",
    "Found",
    "Outcome",
    "Range",
    "Scoring",
    "SearchConfig",
    "SearchResult",
    "SearchWatcher",
    "SilentSearchWatcher",
    "Space",
    "Trial",
    "amounts",
    "check_comparable",
    "check_space",
    "continued",
    "default_space",
    "grid",
    "read_search",
    "search_config",
    "search_json",
    "shown",
    "start_of",
    "words",
]
