"""Texts to be turned into vectors, as a message of the wire."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from parfocal.client.errors import InvalidRequest
from parfocal.v1 import inference_service_pb2 as pb

_POOLINGS = {"last": pb.POOLING_LAST, "mean": pb.POOLING_MEAN}


class EmbedOptions(TypedDict, total=False):
    """Whose hidden states make a vector, and which.

    Attributes:
        adapter: as in `Input`.
        blend: as in `Options`.
        pooling: those of the last token, which has seen all others (the default), or the mean of all.
        normalise: divide each vector by its length; the default.
    """

    adapter: str
    blend: Mapping[str, float]
    pooling: Literal["last", "mean"]
    normalise: bool


def embed_request(inputs: Sequence[str | Sequence[int]], options: EmbedOptions) -> pb.EmbedRequest:
    """Each input is a text, or token ids; raises InvalidRequest."""
    if isinstance(inputs, str):
        raise InvalidRequest("inputs is one text; give a list of them", field="inputs")
    pooling = options.get("pooling", "last")
    if pooling not in _POOLINGS:
        raise InvalidRequest(f"pooling is {pooling!r:.100}; use last or mean", field="pooling")
    blend = options.get("blend") or {}
    try:
        return pb.EmbedRequest(
            adapter=options.get("adapter", ""),
            inputs=[_input(each) for each in inputs],
            pooling=_POOLINGS[pooling],
            normalise=options.get("normalise", True),
            blend=[pb.BlendPart(adapter=name, weight=weight) for name, weight in blend.items()],
        )
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the inputs cannot be sent: {error}", field="inputs") from error


def _input(given: str | Sequence[int]) -> pb.EmbedInput:
    if isinstance(given, str):
        return pb.EmbedInput(prompt=given)
    return pb.EmbedInput(tokens=pb.Tokens(ids=given))
