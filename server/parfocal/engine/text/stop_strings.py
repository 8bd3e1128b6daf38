"""Finds stop strings in text that arrives in pieces, however it is split. Knows no tokens.

Knuth, Morris and Pratt, "Fast pattern matching in strings", SIAM Journal on Computing 6(2), 1977: each
character is looked at about once per stop string, whatever their lengths.
"""


class StopStrings:
    """Scans one text. The match that ends first wins; of several, the one that began first.

    So the split into pieces changes nothing, and a match never waits for a longer one. Empty stop strings
    never match.
    """

    def __init__(self, strings: tuple[str, ...]) -> None:
        # Longest first: of two that end at the same character, the longer began first.
        ordered = sorted({one for one in strings if one}, key=len, reverse=True)
        self._patterns = [(one, _fallbacks(one)) for one in ordered]
        self._matched = [0] * len(ordered)
        self._held = ""

    def push(self, text: str) -> tuple[str, str]:
        """Returns the text that no stop string can still cut, and the stop string found or an empty one.

        With a match the text ends before it, and the scan is over.
        """
        if not self._patterns:
            return text, ""
        seen = self._held + text
        for place, character in enumerate(text, start=len(self._held)):
            if stop := self._advance(character):
                return seen[: place + 1 - len(stop)], stop
        certain = len(seen) - max(self._matched)
        self._held = seen[certain:]
        return seen[:certain], ""

    def give_up(self) -> str:
        """Returns the text held back and forgets it: it can no longer become a stop string."""
        held, self._held = self._held, ""
        self._matched = [0] * len(self._matched)
        return held

    def _advance(self, character: str) -> str:
        """Advances every match by one character; returns the stop string that it completes, or ""."""

        for which, (pattern, fallbacks) in enumerate(self._patterns):
            length = self._matched[which]
            while length and pattern[length] != character:
                length = fallbacks[length - 1]
            length += pattern[length] == character
            self._matched[which] = length
            if length == len(pattern):
                return pattern
        return ""


def _fallbacks(pattern: str) -> list[int]:
    """Returns, for each prefix of `pattern`, the length of its longest proper prefix that is also its end."""
    lengths = [0] * len(pattern)
    length = 0
    for place in range(1, len(pattern)):
        while length and pattern[length] != pattern[place]:
            length = lengths[length - 1]
        length += pattern[length] == pattern[place]
        lengths[place] = length
    return lengths
