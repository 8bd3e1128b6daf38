"""Asks another server on this machine over OpenAI's completions, by token ids. Knows no figures."""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.rivals.errors import EndpointFailed
from parfocal.bench.errors import AnswerWrong, BadWorkload
from parfocal.bench.load.rounds import Pace, Reply, Round, answer_all
from parfocal.bench.workloads.calls import Call
from parfocal.bench.workloads.workload import Workload

# A round may keep this many requests open; those beyond it wait, and their wait counts.
_MAX_THREADS = 1024
_SILENCE_S = 600.0
_CONNECT_S = 10.0
_QUOTED = 300


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where another server listens, and how it wants an adapter to be named.

    `model` is a template of {adapter} and {number}. `base_model` is what it calls the base; None: it is not
    asked for it. `lora_ids` holds llama.cpp's id for each adapter's number; empty: no such field is sent.
    """

    name: str
    host: str
    port: int
    path: str
    model: str = "{adapter}"
    base_model: str | None = None
    lora_ids: tuple[int, ...] = ()

    @property
    def url(self) -> str:
        """Returns where requests go."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"

    def check(self, workload: Workload) -> None:
        """Raises BadWorkload where adapters have no id, and EndpointFailed where nobody listens."""
        if self.lora_ids and len(self.lora_ids) < workload.adapters:
            raise BadWorkload(
                f"endpoint_lora_ids holds {len(self.lora_ids)} ids of {self.name} for {workload.adapters} "
                "adapters; give one for each",
                field="endpoint_lora_ids",
            )
        try:
            socket.create_connection((self.host, self.port), _CONNECT_S).close()
        except OSError as error:
            raise EndpointFailed(
                f"nobody answers at {self.url}: {error}; start {self.name} first, or measure without it"
            ) from error

    def target(self, workload: Workload) -> "EndpointTarget":
        """Returns the endpoint as something that answers the workload's rounds."""
        return EndpointTarget(self, workload.adapter_names(), Pace(workload.in_flight))

    def body(self, call: Call, number: int | None, new_tokens: int) -> dict[str, object]:
        """Returns the request for a call on the adapter of this number; None is the base."""
        named = self.model.replace("{adapter}", call.adapter).replace("{number}", str(number))
        body: dict[str, object] = {
            "model": self.base_model if number is None else named,
            "prompt": list(call.prompt_ids),
            "max_tokens": new_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.lora_ids:
            # Adapters that are not named have no part; an empty list would ask for all of them together.
            scale = 0.0 if number is None else 1.0
            body["lora"] = [{"id": self.lora_ids[number or 0], "scale": scale}]
        return body


class EndpointTarget:
    """An endpoint under load: each request on a connection and a thread of its own."""

    def __init__(self, endpoint: Endpoint, adapter_names: Sequence[str], pace: Pace | None = None) -> None:
        self._endpoint = endpoint
        self._pace = pace
        self._numbers = {name: number for number, name in enumerate(adapter_names)}

    @property
    def name(self) -> str:
        """Returns the endpoint's name."""
        return self._endpoint.name

    @property
    def answers_base(self) -> bool:
        """Returns whether it was said what the endpoint calls its base."""
        return self._endpoint.base_model is not None

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        """Sends each call when it arrives. Raises EndpointFailed or AnswerWrong."""
        with ThreadPoolExecutor(min(len(calls), _MAX_THREADS)) as threads:

            async def reply(call: Call) -> Reply:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(threads, self._reply, call, new_tokens)

            return asyncio.run(answer_all(calls, new_tokens, reply, self._pace))

    def _reply(self, call: Call, new_tokens: int) -> Reply:
        endpoint = self._endpoint
        body = endpoint.body(call, self._numbers[call.adapter] if call.adapter else None, new_tokens)
        try:
            with contextlib.closing(_connection(endpoint)) as connection:
                connection.request(
                    "POST", endpoint.path, json.dumps(body), {"Content-Type": "application/json"}
                )
                with connection.getresponse() as answer:
                    if answer.status != http.HTTPStatus.OK:
                        raise self._failed(f"{answer.status} {_quoted(answer.read(_QUOTED))}")
                    return self._read(answer, call, new_tokens)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._failed(str(error) or type(error).__name__) from error

    def _read(self, answer: Iterable[bytes], call: Call, new_tokens: int) -> Reply:
        arrivals: list[float] = []
        usage: dict[str, Any] = {}
        for event in _events(answer):
            if event.get("error"):
                raise self._failed(json.dumps(event["error"]))
            usage = event.get("usage") or usage
            choices = event.get("choices") or [{"finish_reason": "none"}]
            # The last event may say only that the answer is complete; empty text before is half a character.
            if choices[0].get("text") or choices[0].get("finish_reason") is None:
                arrivals.append(time.perf_counter())
        self._check(call, len(arrivals), usage.get("completion_tokens", len(arrivals)), new_tokens)
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Reply(token_times(arrivals, new_tokens), cached)

    def _check(self, call: Call, arrived: int, generated: int, new_tokens: int) -> None:
        what = f"{self.name}'s answer of {call.adapter or 'the base'}"
        if generated != new_tokens:
            raise AnswerWrong(f"{what} has {generated} tokens, not {new_tokens}; it must honour ignore_eos")
        if arrived < min(2, new_tokens):
            raise AnswerWrong(f"{what} came in one piece; it must stream, or its times say nothing")

    def _failed(self, said: str) -> EndpointFailed:
        return EndpointFailed(f"{self.name} at {self._endpoint.url} did not answer a request: {said}")


def token_times(arrivals: Sequence[float], tokens: int) -> list[float]:
    """Returns a time for each token, evenly spread where a server sent several tokens in one event.

    >>> token_times([1.0, 2.0, 3.0], 5)
    [1.0, 1.5, 2.0, 2.5, 3.0]
    """
    if len(arrivals) == tokens:
        return list(arrivals)
    first, last = arrivals[0], arrivals[-1]
    return [first + (last - first) * place / max(1, tokens - 1) for place in range(tokens)]


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_SILENCE_S)


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        if line.startswith(b"data:"):
            event = json.loads(data)
            if not isinstance(event, dict):
                raise ValueError(f"an event is {_quoted(data[:_QUOTED])}, not an object")
            yield event
        elif line.startswith(b"error:"):
            # llama.cpp gives an error in the middle of a stream a field of its own.
            yield {"error": _quoted(line.removeprefix(b"error:"))}


def _quoted(body: bytes) -> str:
    return " ".join(body.decode("utf-8", "replace").split())
