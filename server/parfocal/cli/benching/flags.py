"""The flags of `parfocal bench`. Names, kinds and help only; most are fields of `Workload`."""

from pathlib import Path

from parfocal.bench.workloads import SHAPES, Workload
from parfocal.cli.flags import Flag

_USUAL = Workload()

_WORK = (
    Flag("shape", str, f"The size of the random Llama. Default: {_USUAL.shape}.", "|".join(SHAPES)),
    Flag("requests", int, f"Requests of a round. Default: {_USUAL.requests}.", least=1),
    Flag(
        "adapters", int, f"Random adapters; requests name them in turn. Default: {_USUAL.adapters}.", least=1
    ),
    Flag("rank", int, f"The rank of every adapter. Default: {_USUAL.rank}.", least=1),
    Flag("ranks", str, "Ranks in turn, instead of one: 8x15,128 is fifteen of rank 8, one of 128.", "LIST"),
    Flag(
        "prompt_tokens",
        str,
        f"The length of every prompt, or a range such as 64-256. Default: {_USUAL.prompt_tokens}.",
        "NUMBER|RANGE",
    ),
    Flag("shared_prefix", int, "First tokens that all prompts of an adapter share. Default: 0.", least=0),
    Flag("new_tokens", int, f"The length of every answer. Default: {_USUAL.new_tokens}.", least=1),
)
_LOAD = (
    Flag(
        "rate",
        str,
        "Requests per second, at random times; or a share of what the server manages, such as 50%. "
        "PEFT is left out. Unset: all at once.",
        "NUMBER|SHARE",
    ),
    Flag("in_flight", int, "Requests at once; another follows whenever one is answered.", least=1),
    Flag("zipf", float, "Adapter n is named in proportion to n to the power of minus this. Unset: in turn."),
    Flag("slots", int, "Adapters that fit on the server's device. Default: all.", least=1),
    Flag(
        "max_requests",
        int,
        "Requests that the server runs at once. Default: all; with --rate, 64; or --in-flight.",
        least=1,
    ),
    Flag(
        "sweep",
        str,
        "Repeat the rounds on so many adapters: all requests at once, or at --rate.",
        "adapters=1,2,4,…",
    ),
    Flag(
        "against",
        str,
        "Compare with other settings, round by round: slots=64, ranks=8, kernels=torch, …",
        "NAME=VALUE,…",
    ),
    Flag("skip_base", bool, "Do not measure the base without adapters.", has_opposite=False),
)
_OTHERS = (
    Flag(
        "endpoint",
        list,
        "A server on this machine that answers OpenAI's /v1/completions. May be repeated.",
        "[NAME=]URL",
    ),
    Flag(
        "endpoint_model",
        list,
        "What it calls an adapter, of {adapter} and {number}. Default: {adapter}.",
        "[NAME=]TEMPLATE",
    ),
    Flag("endpoint_base", list, "What it calls the base. Unset: it is not asked for it.", "[NAME=]MODEL"),
    Flag("endpoint_lora_ids", list, "llama.cpp's ids of the adapters, such as 0-15.", "[NAME=]LIST"),
    Flag("skip_peft", bool, "Leave PEFT out.", has_opposite=False),
)
_RUN = (
    Flag(
        "profile",
        str,
        "Without a server: where a step's time goes, or how it grows with rows and adapters.",
        "steps|growth",
    ),
    Flag("dtype", str, "As `parfocal serve` takes it.", "auto|float32|bfloat16|float16"),
    Flag(
        "adapter_dtype",
        str,
        "As `parfocal serve` takes it.",
        "auto|float32|bfloat16|int16|int8",
        "PARFOCAL_ADAPTER_DTYPE",
    ),
    Flag("kernels", str, "As `parfocal serve` takes it.", "auto|torch", "PARFOCAL_KERNELS"),
    Flag("activation_bits", int, "As `parfocal serve` takes it.", "13|8", "PARFOCAL_ACTIVATION_BITS"),
    Flag("device", str, "As `parfocal serve` takes it."),
    Flag("warmup", int, f"Untimed rounds before the timed ones. Default: {_USUAL.warmup}.", least=0),
    Flag("repeats", int, f"Timed rounds; the median counts. Default: {_USUAL.repeats}.", least=1),
    Flag("seed", int, f"Draws other prompts and adapters. Default: {_USUAL.seed}."),
    Flag("cache", Path, "Keeps random bases and adapters. Default: ~/.cache/parfocal/bench.", "FOLDER"),
    Flag("output", Path, "Write the JSON here too.", "FILE", short="-o"),
    Flag("plot", Path, "Draw the figures here.", "FILE.png"),
    Flag("json", bool, "Print JSON for machines instead of text.", has_opposite=False),
)
FLAGS = (*_WORK, *_LOAD, *_OTHERS, *_RUN)
