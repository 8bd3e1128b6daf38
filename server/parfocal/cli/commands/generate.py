"""`parfocal generate`: asks a running server for an answer."""

import math
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.conversation import (
    ChatOption,
    PromptArgument,
    RawOption,
    SystemOption,
    VariableOption,
    read_said,
)
from parfocal.cli.display import say, say_answer, show_json, show_table
from parfocal.cli.drawing import (
    CountOption,
    FrequencyPenaltyOption,
    LogprobsOption,
    MaxTokensOption,
    MinPOption,
    PresencePenaltyOption,
    RepetitionPenaltyOption,
    SeedOption,
    StopOption,
    StreamOption,
    TemperatureOption,
    TimeoutOption,
    TopKOption,
    TopLogprobsOption,
    TopPOption,
    WaitForOption,
    WaitOption,
)
from parfocal.cli.flags import check_number
from parfocal.cli.options import DEFAULT_GRPC_ADDRESS, AddressOption, JsonOption
from parfocal.cli.progress import spinner

if TYPE_CHECKING:
    from parfocal.cli.asking import Question
    from parfocal.v1.inference_service_pb2 import GenerateResponse, TokenLogprob

# gRPC counts deadlines in 64 bits of nanoseconds.
_LONGEST_S = 1e9


def generate(
    prompt: PromptArgument = None,
    adapter: Annotated[
        str,
        typer.Option("--adapter", metavar="REF", help="For instance team/invoices@prod. Empty: the base."),
    ] = "",
    address: AddressOption = DEFAULT_GRPC_ADDRESS,
    wait: WaitOption = False,
    wait_for: WaitForOption = None,
    raw: RawOption = None,
    system: SystemOption = None,
    chat: ChatOption = None,
    template_variable: VariableOption = None,
    max_tokens: MaxTokensOption = 256,
    temperature: TemperatureOption = 0.0,
    top_p: TopPOption = 1.0,
    top_k: TopKOption = None,
    min_p: MinPOption = None,
    repetition_penalty: RepetitionPenaltyOption = None,
    presence_penalty: PresencePenaltyOption = None,
    frequency_penalty: FrequencyPenaltyOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    count: CountOption = 1,
    logprobs: LogprobsOption = False,
    top_logprobs: TopLogprobsOption = None,
    stream: StreamOption = True,
    timeout: TimeoutOption = None,
    split_key: Annotated[
        str,
        typer.Option(
            "--split-key",
            metavar="KEY",
            help="A user or a conversation: where the alias has a canary, the same version for each key.",
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask a running server for an answer.

    The base answers, or any adapter of the server's registry.

    Example: parfocal generate "Dear support, my parcel is late." --adapter team/support@prod

    Example: parfocal generate --chat messages.json --system "Answer in one sentence." --adapter team/support
    """
    # size: Typer takes every flag as a parameter
    from parfocal.cli.asking import Question
    from parfocal.v1 import inference_service_pb2 as pb

    said = read_said(prompt, chat=chat, system=system, variables=template_variable or (), raw=raw)
    _check_numbers(max_tokens, top_k, top_logprobs, seed)
    _check_seconds(timeout, "--timeout")
    _check_seconds(wait_for, "--wait-for")
    _check_count(count, temperature)
    sampling = pb.Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        seed=seed,
    )
    options = pb.Options(logprobs=logprobs or top_logprobs is not None, top_logprobs=top_logprobs)
    stops = pb.Stop(max_tokens=max_tokens, strings=stop or ())
    question = Question(said, adapter, sampling, stops, options, timeout, split_key)
    if wait or wait_for is not None:
        _wait(address, wait_for or timeout)
    if stream and not as_json and count == 1:
        _print_as_it_comes(address, question)
    else:
        _print_whole(address, question, count, as_json)


def _check_count(count: int, temperature: float) -> None:
    if count > 1 and temperature == 0.0:
        raise typer.BadParameter(
            f"{count} answers would all be the same; sample them with --temperature 1", param_hint="--n"
        )


def _check_numbers(max_tokens: int, top_k: int | None, top_logprobs: int | None, seed: int | None) -> None:
    """Raises BadParameter for numbers that the wire cannot hold."""
    for flag, value in (("--max-tokens", max_tokens), ("--top-k", top_k), ("--top-logprobs", top_logprobs)):
        check_number(value, flag, bits=32)
    check_number(seed, "--seed")


def _check_seconds(given: float | None, flag: str) -> None:
    if given is not None and not (0.0 < given <= _LONGEST_S and math.isfinite(given)):
        raise typer.BadParameter(
            f"{given:g} is no time to wait; give seconds above 0, or leave it out", param_hint=flag
        )


def _wait(address: str, limit_s: float | None) -> None:
    from parfocal.cli.asking import Patience, wait_until_serving

    title = f"Waiting for the server at {address}"
    with spinner(title) as retitle:
        wait_until_serving(address, Patience.of(limit_s), lambda state: retitle(f"{title}: {state}"))


def _print_whole(address: str, question: "Question", count: int, as_json: bool) -> None:
    from google.protobuf.json_format import MessageToDict

    from parfocal.cli.asking import answers

    replies = answers(address, question, count)
    if as_json:
        found = [
            MessageToDict(reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for reply in replies
        ]
        show_json(found[0] if count == 1 else {"answers": found})
        return
    for number, reply in enumerate(replies, 1):
        if count > 1:
            say(f"[{number}/{count}]")
        say_answer(reply.text)
        _tell(reply)


def _print_as_it_comes(address: str, question: "Question") -> None:
    from parfocal.cli.asking import answer_as_it_comes

    for piece in answer_as_it_comes(address, question):
        say_answer(piece.delta_text, is_whole=False)
        if piece.HasField("final"):
            say("")
            _tell(piece.final)


def _tell(reply: "GenerateResponse") -> None:
    """Prints warnings and log-probabilities; on a terminal also who answered and why the answer ended."""
    from parfocal.v1.inference_service_pb2 import FinishReason

    for warning in reply.warnings:
        say(f"parfocal: warning: {warning}", err=True)
    if reply.logprobs:
        say("")
        show_table(("TOKEN", "LOGPROB", "SHARE", "LIKELIEST"), [_row(each) for each in reply.logprobs])
    if not sys.stderr.isatty():
        return
    who = f"{reply.adapter.name}@{reply.adapter.version}" if reply.HasField("adapter") else "base"
    why = FinishReason.Name(reply.finish_reason).removeprefix("FINISH_REASON_").lower().replace("_", " ")
    usage = reply.usage
    line = f"{who} · {usage.prompt_tokens} tokens in, {usage.completion_tokens} out · ended by {why}"
    say(line, err=True, dim=True)


def _row(token: "TokenLogprob") -> tuple[str, str, str, str]:
    likeliest = (f"{each.text!r} {_share(each.logprob)}" for each in token.top)
    return repr(token.text), f"{token.logprob:.3f}", _share(token.logprob), ", ".join(likeliest)


def _share(logprob: float) -> str:
    return f"{math.exp(min(0.0, logprob)):.1%}"
