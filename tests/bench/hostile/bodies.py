"""Uploads as bytes, made once: an honest one, and the worst that a registry accepts or refuses."""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parfocal.v1 import adapter_pb2, limits
from parfocal.v1 import registry_service_pb2 as pb

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_NESTED = "(" * 20 + "." + "+)" * 20


@dataclass(frozen=True, slots=True)
class Body:
    """One upload's messages, written already."""

    header: bytes
    chunks: tuple[bytes, ...]

    def messages(self) -> Iterator[bytes]:
        yield self.header
        yield from self.chunks


def small(name: str, alpha: int = 1) -> Body:
    """A tiny adapter of an unverified base."""
    return _body(name, _config(lora_alpha=alpha), _weights(["model.layers.0.self_attn.q_proj"]))


def many_modules(name: str, alpha: int, modules: int) -> Body:
    """An adapter whose manifest is large: one entry for each of its modules."""
    return _body(
        name, _config(lora_alpha=alpha), _weights([f"m.layers.{number}.q_proj" for number in range(modules)])
    )


def nested_patterns(name: str) -> Body:
    """Patterns over which a careless matcher thinks for ever."""
    patterns = {f"{_NESTED}x{number}": 1 for number in range(6)}
    return _body(name, _config(rank_pattern=patterns), _weights(["model.layers.0.self_attn.q_proj"]))


def widest_header(name: str) -> bytes:
    """A header as large as a message may be, of as many parts as fit; it is refused only once it is read."""
    metrics = {f"{number:x}": 0.0 for number in range(limits.HEADER_BYTES.most // 24)}
    evaluation = adapter_pb2.Evaluation(metrics=metrics)
    return pb.PublishVersionRequest(
        header=pb.PublishHeader(name=name, evaluation=evaluation)
    ).SerializeToString()


def _body(name: str, config: bytes, weights: bytes) -> Body:
    header = pb.PublishHeader(
        name=name,
        base_contract=adapter_pb2.BaseContract(id="x/y"),
        unverified_base=True,
        files=[_entry(CONFIG, config), _entry(WEIGHTS, weights)],
    )
    chunks = [*_pieces(CONFIG, config), *_pieces(WEIGHTS, weights)]
    return Body(
        pb.PublishVersionRequest(header=header).SerializeToString(),
        tuple(pb.PublishVersionRequest(chunk=chunk).SerializeToString() for chunk in chunks),
    )


def _entry(path: str, data: bytes) -> adapter_pb2.FileEntry:
    return adapter_pb2.FileEntry(
        path=path, size=len(data), digest="sha256:" + hashlib.sha256(data).hexdigest()
    )


def _pieces(path: str, data: bytes) -> Iterator[pb.FileChunk]:
    size = limits.PIECE_BYTES.most
    for start in range(0, len(data), size):
        yield pb.FileChunk(path=path, data=data[start : start + size])


def _config(**fields: object) -> bytes:
    plain: Mapping[str, object] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 1,
        "lora_alpha": 1,
        "bias": "none",
        "target_modules": ["q_proj"],
        "base_model_name_or_path": "x/y",
    }
    return json.dumps({**plain, **fields}).encode()


def _weights(modules: Sequence[str]) -> bytes:
    """Matrices of one number each: all that is large about them is their number."""
    header, position = {}, 0
    for module in modules:
        for side in "AB":
            name = f"base_model.model.{module}.lora_{side}.weight"
            header[name] = {"dtype": "F16", "shape": [1, 1], "data_offsets": [position, position + 2]}
            position += 2
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + b"\x01\x02" * (position // 2)
