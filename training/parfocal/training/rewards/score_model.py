"""OpenAI's score_model grader, asked of any server that speaks OpenAI's API. Never guesses a score."""

import http.client
import json
import os
import re
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from parfocal.training.errors import InvalidConfig, RewardFailed
from parfocal.training.rewards.attempts import Attempt
from parfocal.training.rewards.templates import check_template, filled

KEY_VARIABLE = "PARFOCAL_JUDGE_KEY"
_TASK = 'Reply with one JSON object and nothing else: {{"result": NUMBER}}, from {low:g} to {high:g}.'
_RESULT = re.compile(r'"result"\s*:\s*(?P<number>-?\d+(?:\.\d+)?)')
_AT_ONCE = 4
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ScoreModel:
    """Asks `model` at `url` for a number within `range`, with the grader's messages filled in."""

    name: str
    url: str
    model: str
    messages: tuple[tuple[str, str], ...]
    low: float
    high: float
    sampling: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 60.0

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str) -> "ScoreModel":
        """Raises InvalidConfig."""
        url = str(value.get("url", ""))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidConfig(
                f"grader {name} names no server; add a url to it, such as http://HOST:PORT/v1, where an "
                f"OpenAI-compatible one answers (its key is read from {KEY_VARIABLE})",
                field="rewards",
            )
        low, high = _range(value, name)
        sampling = value.get("sampling_params")
        known = dict(sampling) if isinstance(sampling, Mapping) else {}
        messages = _messages(value.get("input"), name)
        return cls(name, url.rstrip("/"), str(value.get("model", "")), messages, low, high, known)

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """The model's number for each; raises RewardFailed if it gives none for one of them."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parfocal-grader") as threads:
            return list(threads.map(self._score, attempts))

    def _score(self, attempt: Attempt) -> float:
        messages = [
            {"role": role, "content": filled(text, attempt, self.name)} for role, text in self.messages
        ]
        task = {"role": "system", "content": _TASK.format(low=self.low, high=self.high)}
        body = {"model": self.model, "temperature": 0, "max_tokens": 256, **self.sampling}
        try:
            return self._read(self._ask({**body, "messages": [task, *messages]}))
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            raise RewardFailed(
                f"grader {self.name}: the model at {self.url} gave no score ({type(error).__name__}: "
                f"{str(error)[:200]})",
                field="rewards",
            ) from error

    def _ask(self, body: Mapping[str, Any]) -> bytes:
        headers = {"content-type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{self.url}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
            data: bytes = reply.read(_MOST_BYTES)
        return data

    def _read(self, reply: bytes) -> float:
        text = str(json.loads(reply)["choices"][0]["message"]["content"])
        found = _RESULT.search(text)
        if found is None or not self.low <= float(found["number"]) <= self.high:
            raise ValueError(f"its reply {text[:80]!a} has no result from {self.low:g} to {self.high:g}")
        return float(found["number"])


def _range(value: Mapping[str, Any], name: str) -> tuple[float, float]:
    found = value.get("range", [0, 1])
    numbers = isinstance(found, list) and all(isinstance(each, int | float) for each in found)
    if not numbers or len(found) != 2 or not found[0] < found[1]:
        raise InvalidConfig(f"grader {name} has range {str(found)[:40]}; give [LOW, HIGH]", field="rewards")
    return float(found[0]), float(found[1])


def _messages(value: Any, name: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise InvalidConfig(f"grader {name} has no input, a list of messages", field="rewards")
    found = []
    for message in value:
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, str):
            raise InvalidConfig(f"grader {name} has a message whose content is no text", field="rewards")
        check_template(content, name)
        found.append((str(message.get("role", "user")), content))
    return tuple(found)
