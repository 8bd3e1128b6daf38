"""What a caller asks, as a message of the wire. The server checks values; here only what cannot be sent."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from google.protobuf.message import Message as Proto

from parfocal.client.asking.chats import read_message, read_tool
from parfocal.client.asking.options import Input, Options, Question
from parfocal.client.errors import InvalidRequest
from parfocal.v1 import inference_service_pb2 as pb

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "seed")
_PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")
_STOP = ("max_tokens", "min_tokens", "ignore_eos")
_OPTIONS = ("logprobs", "top_logprobs", "echo", "prompt_logprobs")
_FORMS = ("json_schema", "json_object", "regex", "grammar", "choice")
_TOOL_MODES = {
    "auto": pb.ToolChoice.MODE_AUTO,
    "none": pb.ToolChoice.MODE_NONE,
    "required": pb.ToolChoice.MODE_REQUIRED,
}
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
    _copy(given, request, ("adapter", "request_id", "split_key"))
    _put(request.options, "choices", given.get("n"), "n")
    _write_weights(request, given)
    _write_form(request, given)
    if given.get("top_logprobs") is not None:
        request.options.logprobs = True
    stop = given.get("stop")
    _put(request.stop, "strings", (stop,) if isinstance(stop, str) else stop, "stop")
    _put(request.stop, "token_ids", given.get("stop_token_ids"), "stop_token_ids")
    return request


def batch_request(questions: Sequence[Question]) -> pb.GenerateBatchRequest:
    """Raises what `generate_request` raises, and names the question at fault."""
    request = pb.GenerateBatchRequest()
    for place, question in enumerate(questions, 1):
        options = cast(Options, {name: value for name, value in question.items() if name != "prompt"})
        try:
            request.requests.append(generate_request(question.get("prompt"), options))
        except InvalidRequest as error:
            raise InvalidRequest(f"question {place}: {error}", field=error.field) from error
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
    beside = [name for name in ("tools", "tool_choice", "template_variables") if given.get(name)]
    if found != ["messages"] and beside:
        raise InvalidRequest(f"{beside[0]} belong to a chat; give messages, not {found[0]}", field="input")
    if prompt is not None:
        _put(request, "prompt", prompt, "prompt")
    elif "tokens" in found and isinstance(request, pb.GenerateRequest):
        request.tokens.SetInParent()
        _put(request.tokens, "ids", values["tokens"], "tokens")
    else:
        request.chat.CopyFrom(_chat(given))


def _write_weights(request: pb.GenerateRequest, given: Mapping[str, Any]) -> None:
    """What is a mapping: a blend's weights by adapter, a bias by token."""
    try:
        for adapter, weight in (given.get("blend") or {}).items():
            request.blend.add(adapter=adapter, weight=weight)
        for token, bias in (given.get("logit_bias") or {}).items():
            request.sampling.logit_bias[token] = bias
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"blend and logit_bias map to numbers: {error}", field="blend") from error


def _write_form(request: pb.GenerateRequest, given: Mapping[str, Any]) -> None:
    found = [name for name in _FORMS if given.get(name) not in (None, False)]
    if len(found) > 1:
        raise InvalidRequest(f"{' and '.join(found)} are several forms; give one", field="output_format")
    for name in found:
        value = given[name]
        if name == "choice":
            request.output_format.choice.SetInParent()
            _put(request.output_format.choice, "texts", value, name)
        else:
            text = schema_text(value) if name == "json_schema" else value
            _put(request.output_format, name, text, name)


def schema_text(schema: Mapping[str, Any] | str) -> str:
    """A JSON Schema as text, its keys in the order given; raises InvalidRequest."""
    if isinstance(schema, str):
        return schema
    try:
        return json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"json_schema is not JSON: {error}", field="json_schema") from error


def _tool_choice(word: str) -> pb.ToolChoice:
    mode = _TOOL_MODES.get(word)
    if mode is None:
        return pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED, name=word)
    return pb.ToolChoice(mode=mode)


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
    if given.get("tool_choice"):
        chat.tool_choice.CopyFrom(_tool_choice(given["tool_choice"]))
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
