"""What a caller asks, as a message of the wire. The server checks values; here only what cannot be sent."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from google.protobuf.message import Message as Proto

from parfocal.client.asking.chats import read_message, read_tool
from parfocal.client.asking.options import Input, Options
from parfocal.client.errors import InvalidRequest
from parfocal.v1 import inference_service_pb2 as pb

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "seed")
_PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")
_STOP = ("max_tokens", "min_tokens", "ignore_eos")
_OPTIONS = ("logprobs", "top_logprobs", "echo")
_INPUTS = ("prompt", "messages", "tokens")


def generate_request(prompt: str | None, options: Options) -> pb.GenerateRequest:
    """Raises InvalidRequest for what the wire cannot hold, TypeError for an unknown argument."""
    given = cast(Mapping[str, Any], options)
    _check_known(given, Options.__annotations__)
    request = pb.GenerateRequest()
    _write_input(request, prompt, given, _INPUTS)
    _copy(given, request.sampling, (*_SAMPLING, *_PENALTIES))
    _copy(given, request.stop, _STOP)
    _copy(given, request.options, _OPTIONS)
    _copy(given, request, ("adapter", "request_id"))
    if given.get("top_logprobs") is not None:
        request.options.logprobs = True
    stop = given.get("stop")
    _put(request.stop, "strings", (stop,) if isinstance(stop, str) else stop, "stop")
    _put(request.stop, "token_ids", given.get("stop_token_ids"), "stop_token_ids")
    return request


def tokenize_request(prompt: str | None, options: Input) -> pb.TokenizeRequest:
    """Raises InvalidRequest for what the wire cannot hold, TypeError for an unknown argument."""
    given = cast(Mapping[str, Any], options)
    _check_known(given, {name for name in Input.__annotations__ if name != "tokens"})
    request = pb.TokenizeRequest()
    _write_input(request, prompt, given, ("prompt", "messages"))
    _copy(given, request, ("adapter",))
    return request


def _check_known(given: Mapping[str, Any], known: Mapping[str, Any] | set[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"there is no argument {name!r}{meant}")


def _write_input(
    request: pb.GenerateRequest | pb.TokenizeRequest,
    prompt: str | None,
    given: Mapping[str, Any],
    inputs: Sequence[str],
) -> None:
    values = {"prompt": prompt, **{name: given.get(name) for name in inputs[1:]}}
    found = [name for name in inputs if values[name] is not None]
    if len(found) != 1:
        kinds = f"{', '.join(inputs[:-1])} and {inputs[-1]}"
        raise InvalidRequest(
            f"{' and '.join(found) or 'nothing'} given to answer; give exactly one of {kinds}",
            field="input",
        )
    beside = [name for name in ("tools", "template_variables") if given.get(name)]
    if found != ["messages"] and beside:
        raise InvalidRequest(f"{beside[0]} belong to a chat; give messages, not {found[0]}", field="input")
    if prompt is not None:
        _put(request, "prompt", prompt, "prompt")
    elif "tokens" in found and isinstance(request, pb.GenerateRequest):
        request.tokens.SetInParent()
        _put(request.tokens, "ids", values["tokens"], "tokens")
    else:
        request.chat.CopyFrom(_chat(given))


def _chat(given: Mapping[str, Any]) -> pb.Chat:
    read = [read_message(f"message {place}", each) for place, each in enumerate(given["messages"], 1)]
    chat = pb.Chat(tools=[read_tool(tool) for tool in given.get("tools") or ()])
    for message in read:
        calls = [
            pb.ToolCall(name=each.name, arguments=each.arguments, id=each.id) for each in message.tool_calls
        ]
        written = chat.messages.add(tool_calls=calls)
        for name in ("role", "content", "tool_call_id", "name"):
            _put(written, name, getattr(message, name), f"messages.{name}")
    if variables := given.get("template_variables"):
        try:
            chat.template_variables.update(variables)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"template_variables hold what JSON cannot: {error}", field="chat.template_variables"
            ) from error
    return chat


def _copy(given: Mapping[str, Any], message: Proto, names: Sequence[str]) -> None:
    for name in names:
        _put(message, name, given.get(name), name)


def _put(message: Proto, field: str, value: Any, name: str) -> None:
    """Sets a field; None leaves it to the server."""
    if value is None:
        return
    try:
        if isinstance(value, Sequence) and not isinstance(value, str):
            getattr(message, field).extend(value)
        else:
            setattr(message, field, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"{name} is {value!r:.100}: {error}", field=name) from error
