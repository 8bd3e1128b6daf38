"""`parfocal generate`: asks a running server for an answer."""

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
from parfocal.cli.display import show_json
from parfocal.cli.options import DEFAULT_GRPC_ADDRESS, AddressOption, JsonOption

if TYPE_CHECKING:
    from parfocal.cli.asking import Question
    from parfocal.v1.inference_service_pb2 import GenerateResponse


def generate(
    prompt: PromptArgument = None,
    adapter: Annotated[
        str,
        typer.Option("--adapter", metavar="REF", help="For instance team/invoices@prod. Empty: the base."),
    ] = "",
    address: AddressOption = DEFAULT_GRPC_ADDRESS,
    raw: RawOption = None,
    system: SystemOption = None,
    chat: ChatOption = None,
    template_variable: VariableOption = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[
        float, typer.Option("--temperature", help="0 always takes the likeliest token; 1 draws freely.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw among the likeliest tokens that make up this share.")
    ] = 1.0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="The same seed draws the same answer. Default: another each time."),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", metavar="TEXT", help="End before this text; may be repeated."),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")
    ] = True,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="End the answer by then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running server for an answer.

    The base answers, or any adapter of the server's registry.

    Example: parfocal generate "Dear support, my parcel is late." --adapter team/support@prod

    Example: parfocal generate --chat messages.json --system "Answer in one sentence." --adapter team/support
    """
    from parfocal.cli.asking import Question
    from parfocal.v1 import inference_service_pb2 as pb

    said = read_said(prompt, chat=chat, system=system, variables=template_variable or (), raw=raw)
    sampling = pb.Sampling(temperature=temperature, top_p=top_p, seed=seed)
    question = Question(said, adapter, sampling, pb.Stop(max_tokens=max_tokens, strings=stop or ()), timeout)
    _answer(address, question, stream, as_json)


def _answer(address: str, question: "Question", stream: bool, as_json: bool) -> None:
    from google.protobuf.json_format import MessageToDict

    from parfocal.cli.asking import answer

    if stream and not as_json:
        _print_as_it_comes(address, question)
        return
    reply = answer(address, question)
    if as_json:
        show_json(
            MessageToDict(reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        )
    else:
        typer.echo(reply.text)
        _tell(reply)


def _print_as_it_comes(address: str, question: "Question") -> None:
    from parfocal.cli.asking import answer_as_it_comes

    for piece in answer_as_it_comes(address, question):
        typer.echo(piece.delta_text, nl=False)
        if piece.HasField("final"):
            typer.echo()
            _tell(piece.final)


def _tell(reply: "GenerateResponse") -> None:
    """Passes warnings on; says on a terminal, beside the answer, who gave it and why it ended."""
    from parfocal.v1.inference_service_pb2 import FinishReason

    for warning in reply.warnings:
        typer.echo(f"parfocal: warning: {warning}", err=True)
    if not sys.stderr.isatty():
        return
    who = f"{reply.adapter.name}@{reply.adapter.version}" if reply.HasField("adapter") else "base"
    why = FinishReason.Name(reply.finish_reason).removeprefix("FINISH_REASON_").lower().replace("_", " ")
    usage = reply.usage
    line = f"{who} · {usage.prompt_tokens} tokens in, {usage.completion_tokens} out · ended by {why}"
    typer.secho(line, err=True, dim=True)
