"""`parfocal generate`: asks a running server for an answer."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parfocal.cli.display import show_json
from parfocal.cli.options import DEFAULT_GRPC_ADDRESS, AddressOption, JsonOption

if TYPE_CHECKING:
    from parfocal.cli.asking import Question
    from parfocal.v1.inference_service_pb2 import GenerateResponse


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask; - reads standard input.")],
    adapter: Annotated[
        str,
        typer.Option("--adapter", metavar="REF", help="For instance team/invoices@prod. Empty: the base."),
    ] = "",
    address: AddressOption = DEFAULT_GRPC_ADDRESS,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--raw",
            help="As a chat message, or as plain text to go on with. Default: as the adapter was trained, "
            "or else as a chat message if the base has a chat template.",
            show_default=False,
        ),
    ] = None,
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
    """
    from parfocal.cli.asking import Question
    from parfocal.v1 import inference_service_pb2 as pb

    text = sys.stdin.read() if prompt == "-" else prompt
    sampling = pb.Sampling(temperature=temperature, top_p=top_p, seed=seed)
    question = Question(
        text, adapter, chat, sampling, pb.Stop(max_tokens=max_tokens, strings=stop or ()), timeout
    )
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
    """Says on a terminal, beside the answer, who gave it and why it ended."""
    from parfocal.v1.inference_service_pb2 import FinishReason

    if not sys.stderr.isatty():
        return
    who = f"{reply.adapter.name}@{reply.adapter.version}" if reply.HasField("adapter") else "base"
    why = FinishReason.Name(reply.finish_reason).removeprefix("FINISH_REASON_").lower().replace("_", " ")
    usage = reply.usage
    line = f"{who} · {usage.prompt_tokens} tokens in, {usage.completion_tokens} out · ended by {why}"
    typer.secho(line, err=True, dim=True)
