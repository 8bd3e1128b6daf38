"""A regular expression over module paths that is matched in bounded time, however it was written.

Python's `re` can take hours over a few nested choices, and holds the interpreter all the while; patterns
come from strangers.
"""

import re

from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work
from parfocal.registry.peft.pattern_syntax import parse


class PathPattern:
    """A pattern for a whole path; raises PatternError. `work` is shared by all patterns of an adapter."""

    def __init__(self, text: str, work: Work | None = None) -> None:
        self._graph = parse(text, work or Work())
        try:
            re.compile(text)  # PEFT would do so; what Python refuses is no pattern
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(str(error)) from error

    @classmethod
    def at_the_end(cls, text: str, work: Work | None = None) -> "PathPattern":
        """A pattern for the end of a path, from its beginning or from behind a dot on."""
        return cls(rf"(.*\.)?({text})$", work)

    def matches(self, path: ModulePath) -> bool:
        """Whether `re.fullmatch` would match; raises PatternError when that takes too long."""
        return bool(self._graph.ends(path, 1) & path.end)
