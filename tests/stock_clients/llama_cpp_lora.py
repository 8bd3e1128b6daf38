"""llama.cpp on a base and a LoRA: `llama_cpp_lora.py BASE LORA TOKENS PROMPT…`, each prompt ids as JSON.

Prints the ids of the most likely next tokens of each as JSON; an empty LORA is the base alone. It is called
through whichever of its bindings for Python is installed.
"""

import importlib.util
import json
import sys
from typing import Any

CONTEXT = 128
LIKELIEST: dict[str, Any] = {"temperature": 0.0, "top_k": 1, "repeat_penalty": 1.0}


def answers(base: str, lora: str, tokens: int, prompts: list[list[int]]) -> list[list[int]]:
    """The most likely tokens of each prompt one by one."""
    if importlib.util.find_spec("llama_cpp") is not None:
        return _by_llama_cpp_python(base, lora, tokens, prompts)
    return _by_xllamacpp(base, lora, tokens, prompts)


def _by_llama_cpp_python(base: str, lora: str, tokens: int, prompts: list[list[int]]) -> list[list[int]]:
    from llama_cpp import Llama

    model = Llama(base, lora_path=lora or None, n_ctx=CONTEXT, n_threads=1, verbose=False)
    found = []
    for prompt in prompts:
        stream = model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0)
        found.append([int(token) for token, _ in zip(stream, range(tokens), strict=False)])
    return found


def _by_xllamacpp(base: str, lora: str, tokens: int, prompts: list[list[int]]) -> list[list[int]]:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = base
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.cpuparams.n_threads = 1
    if lora:
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(lora, 1.0)]
    server = xllamacpp.Server(parameters)
    asked = {"max_tokens": tokens, "n_probs": 1, "logprobs": 1, "ignore_eos": True, **LIKELIEST}
    replies = [server.handle_completions({"prompt": prompt, **asked}) for prompt in prompts]
    return [[each["id"] for each in reply["choices"][0]["logprobs"]["content"]] for reply in replies]


if __name__ == "__main__":
    given = [json.loads(prompt) for prompt in sys.argv[4:]]
    print(json.dumps(answers(sys.argv[1], sys.argv[2], int(sys.argv[3]), given)))
