"""A model as judge: its verdict counts, and its silence is an error."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from parfocal.training.errors import JudgeUnavailable
from parfocal.training.metrics import Answer, Judge

Reply = Callable[[dict[str, object]], tuple[int, str]]
ANSWERS = [Answer("2 + 2?", "4", "4"), Answer("2 + 3?", "6", "5")]


class JudgeServer:
    """An OpenAI-compatible server on this machine that replies as it is told."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[dict[str, object]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(body)
                outer.keys.append(self.headers["authorization"])
                status, text = reply(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def served() -> Iterator[Callable[[Reply], JudgeServer]]:
    servers: list[JudgeServer] = []

    def serve(reply: Reply) -> JudgeServer:
        servers.append(JudgeServer(reply))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def completion(text: str) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


def test_the_judges_scores_are_the_metric(served: Callable[[Reply], JudgeServer]) -> None:
    def reply(body: dict[str, object]) -> tuple[int, str]:
        is_right = "<<ANSWER>>\\n4" in json.dumps(body["messages"])
        return 200, completion('{"score": 1}' if is_right else 'so {"score": 0.25}')

    server = served(reply)
    judge = Judge(server.url, "big", "secret")

    assert list(judge.scores(ANSWERS).means["judge_score"]) == [1.0, 0.25]
    assert server.asked[0]["model"] == "big"
    assert set(server.keys) == {"Bearer secret"}
    assert "secret" not in repr(judge)


def test_a_judge_that_stumbles_once_is_asked_again(served: Callable[[Reply], JudgeServer]) -> None:
    calls: list[int] = []

    def reply(_: dict[str, object]) -> tuple[int, str]:
        calls.append(1)
        return (500, "") if len(calls) == 1 else (200, completion('{"score": 0.5}'))

    assert list(Judge(served(reply).url, pause_s=0).scores(ANSWERS[:1]).means["judge_score"]) == [0.5]


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (500, "", "HTTP 500"),
        (401, "", "HTTP 401"),
        (200, "{}", "no chat completion"),
        (200, "nonsense", "JSONDecodeError"),
        (200, completion("very good"), "no score"),
        (200, completion('{"score": 7}'), "no score"),
    ],
)
def test_without_a_verdict_it_is_an_error_and_never_a_zero(
    served: Callable[[Reply], JudgeServer], status: int, text: str, said: str
) -> None:
    judge = Judge(served(lambda _: (status, text)).url, pause_s=0)

    with pytest.raises(JudgeUnavailable, match=said):
        judge.scores(ANSWERS)


def test_a_judge_that_is_down_is_named(served: Callable[[Reply], JudgeServer]) -> None:
    server = served(lambda _: (200, ""))
    server.close()
    with pytest.raises(JudgeUnavailable, match=server.url):
        Judge(server.url, pause_s=0).scores(ANSWERS)
