"""Describes the resident base and the server's limits as GetModel's reply. Loads nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parfocal.engine import AdapterKey
from parfocal.engine.scheduling import MAX_TOP_LOGPROBS
from parfocal.registry import BaseContract
from parfocal.registry.wire import base_message
from parfocal.rpc.access import Caller
from parfocal.server.build_info import package_version
from parfocal.server.settings import ServeConfig
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.limits import CHOICES, REQUEST_BYTES

if TYPE_CHECKING:  # what describes a base imports torch
    from parfocal.engine.model import BaseInfo


def describe_model(
    contract: BaseContract,
    info: "BaseInfo",
    config: ServeConfig,
    has_chat: bool,
    pinned: Sequence[AdapterKey] = (),
) -> pb.Model:
    """What callers may know of the base that runs here."""
    return pb.Model(
        base=base_message(contract),
        architecture=info.architecture,
        context_tokens=info.context_tokens,
        vocabulary_size=info.vocabulary,
        dtype=info.dtype,
        device=info.device,
        slots=config.slots,
        limits=pb.Limits(
            max_batch_tokens=config.max_batch_tokens,
            max_running_requests=config.max_requests,
            max_waiting_requests=config.max_waiting,
            max_rank=config.max_rank,
            max_top_logprobs=MAX_TOP_LOGPROBS,
            max_message_bytes=REQUEST_BYTES.most,
            max_choices=CHOICES.most,
        ),
        eos_token_ids=info.eos_ids,
        has_chat_template=has_chat,
        memory_bytes=info.memory_bytes,
        server_version=package_version("parfocal"),
        pinned_adapters=[
            pb.ResolvedAdapter(name=each.name, version=each.version, digest=each.digest) for each in pinned
        ],
    )


def seen_model(model: pb.Model, caller: Caller) -> pb.Model:
    """The description as `caller` may have it: pinned adapters that they do not see are left out."""
    seen = [each for each in model.pinned_adapters if caller.sees(each.name)]
    if len(seen) == len(model.pinned_adapters):
        return model
    shown = pb.Model()
    shown.CopyFrom(model)
    del shown.pinned_adapters[:]
    shown.pinned_adapters.extend(seen)
    return shown
