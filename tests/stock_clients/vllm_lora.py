"""vLLM serves a base and an adapter of the Hub: `vllm_lora.py BASE REPO TOKENS PROMPT…`, prompts as JSON.

Prints as JSON the likeliest next tokens of each prompt, of the base and of the adapter, as its server answers
them over HTTP. vLLM itself fetches the adapter, from wherever HF_ENDPOINT points.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BASE, ADAPTER = "base", "adapter"
_READY_S = 400.0


@contextmanager
def serving(base: str, repo: str) -> Iterator[str]:
    """Runs its server, and gives where it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    flags = ["--host", "127.0.0.1", "--port", port, "--served-model-name", BASE, "--dtype", "float32"]
    flags += ["--enable-lora", "--lora-modules", f"{ADAPTER}={repo}", "--max-lora-rank", "16"]
    flags += ["--max-model-len", "128", "--max-num-seqs", "4", "--enforce-eager"]
    # Its command `vllm` asks for a distribution of that name, which the build for CPUs is not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", base, *flags]
    with subprocess.Popen(command, stdout=sys.stderr) as server:
        try:
            _wait(server, f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/v1/completions"
        finally:
            server.terminate()
            server.wait(60)


def answer(url: str, model: str, prompt: list[int], tokens: int) -> list[int]:
    """The likeliest tokens one by one."""
    asked = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0.0}
    asked |= {"ignore_eos": True, "return_token_ids": True}
    request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        said: dict[str, Any] = json.load(reply)
    return [int(token) for token in said["choices"][0]["token_ids"]]


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"vLLM is not ready after {_READY_S:g} s, or ended with {server.poll()}")


if __name__ == "__main__":
    prompts = [json.loads(prompt) for prompt in sys.argv[4:]]
    with serving(sys.argv[1], sys.argv[2]) as where:
        found = {
            model: [answer(where, model, prompt, int(sys.argv[3])) for prompt in prompts]
            for model in (BASE, ADAPTER)
        }
    print(json.dumps(found))
