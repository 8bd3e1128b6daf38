"""Attention by `torch.nn.attention.varlen`, if the installed torch can read a paged cache on this device.

torch 2.13 has the parameters, but works only with a FlashAttention that knows pages: the one built into torch
raises RuntimeError. So the signature is checked first, and a trial decides.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from textwrap import shorten
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.attention.rows import store_kv
from parfocal.engine.backends.cuda.attention.tables import block_table
from parfocal.engine.backends.cuda.sending import Send, each_by_itself
from parfocal.engine.model import KvCache, NewTokens, Scoring
from parfocal.engine.scheduling import LaidRow, written_places

_PARAMETERS = ("block_table", "enable_gqa", "scale", "seqused_k", "window_size")
_DTYPES = (torch.float16, torch.bfloat16)
_MOST_DIM = 256


class Varlen(Protocol):
    """The part of `torch.nn.attention.varlen.varlen_attn` that is used here."""

    def __call__(  # noqa: PLR0913 - the signature is torch's
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        cu_seq_q: torch.Tensor,
        cu_seq_k: torch.Tensor | None,
        max_q: int,
        max_k: int,
        *,
        scale: float | None,
        window_size: tuple[int, int],
        enable_gqa: bool,
        seqused_k: torch.Tensor | None,
        block_table: torch.Tensor | None,
    ) -> torch.Tensor:
        """Answers `[tokens, heads, head_dim]` for a query of that shape.

        key and value are pages `[pages, page tokens, kv_heads, head_dim]`.
        """


@dataclass(frozen=True, slots=True)
class Need:
    """What a base asks of attention."""

    dtype: torch.dtype
    heads: int
    kv_heads: int
    head_dim: int
    block_tokens: int
    softcap: float | None


class Trial(Protocol):
    """Calls the function once on the device where it would run."""

    def __call__(self, function: Varlen, need: Need) -> str:
        """What is wrong with its answer, or nothing. What the function raises passes through."""


@dataclass(frozen=True, slots=True)
class Support:
    """Whether torch's function can be used; `reason` says why not, and is empty if it can."""

    reason: str

    @property
    def usable(self) -> bool:
        """Whether the function can be used."""
        return not self.reason


def installed() -> Varlen | None:
    """torch's function; None if this torch has none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn  # type: ignore[return-value]  # its answer is a tuple only where that is asked for


def supported(function: Varlen | None, need: Need, trial: Trial) -> Support:
    """Decides, once per server, whether `function` can do what a base needs."""
    if function is None:
        return Support("this torch has no torch.nn.attention.varlen")
    reason = _missing(function) or _beyond(need)
    if not reason:
        try:
            reason = trial(function, need)
        except RuntimeError as error:
            # torch appends a list of every operator registration.
            reason = f"a trial on this device failed: {shorten(str(error), 200)}"
    return Support(reason)


def _missing(function: Varlen) -> str:
    known = inspect.signature(function).parameters
    absent = [name for name in _PARAMETERS if name not in known]
    return f"this torch's varlen_attn has no {', '.join(absent)}" if absent else ""


def _beyond(need: Need) -> str:
    if need.dtype not in _DTYPES:
        return f"varlen_attn computes in float16 and bfloat16, not in {need.dtype}"
    if need.head_dim > _MOST_DIM or need.head_dim % 8:
        return f"varlen_attn takes heads of up to {_MOST_DIM} in steps of 8, not of {need.head_dim}"
    if need.softcap is not None:
        return "varlen_attn has no soft cap of scores"
    return ""


@dataclass(frozen=True, slots=True)
class DeviceTrial:
    """Computes known answers on `device`, from a page that holds NaN after its row's last token."""

    device: torch.device

    def __call__(self, function: Varlen, need: Need) -> str:
        """What is wrong with the answer, or nothing."""
        for window, expected in ((None, [1.5, 3.0]), (2, [1.5, 4.0])):
            found = self._ask(function, need, window)
            if not found.eq(torch.tensor(expected, device=self.device)[:, None]).all():
                return f"a trial on this device gave {found[:, 0].tolist()} instead of {expected}"
        return ""

    def _ask(self, function: Varlen, need: Need, window: int | None) -> torch.Tensor:
        """What the last two tokens of three, whose keys are equal, get from the values 1, 2 and 6."""
        pages = -(-4 // need.block_tokens)
        shape = (pages, need.block_tokens, need.kv_heads, need.head_dim)
        keys, values = torch.full((2, *shape), torch.nan, dtype=need.dtype, device=self.device)
        flat_keys, flat_values = keys.flatten(0, 1), values.flatten(0, 1)
        for at, value in enumerate((1.0, 2.0, 6.0)):
            flat_keys[at], flat_values[at] = 0.0, value
        rows = VarlenRows(
            starts=torch.tensor([0, 2], dtype=torch.int32, device=self.device),
            lengths=torch.tensor([3], dtype=torch.int32, device=self.device),
            blocks=torch.arange(pages, dtype=torch.int32, device=self.device)[None],
            most_new=2,
            most_length=3,
        )
        query = torch.ones(2, need.heads, need.head_dim, dtype=need.dtype, device=self.device)
        return _call(function, (query, keys, values), rows, Scoring(1.0, window, None)).flatten(1)


@dataclass(frozen=True, slots=True)
class VarlenRows:
    """The rows of a step.

    `starts` `[rows + 1]` are where each row's new tokens begin and end in the batch, `lengths` `[rows]` how
    many tokens they have in the cache and `blocks` `[rows, most]` where these lie, all int32; `most_new` and
    `most_length` are the most new tokens of a row and the most it has in the cache.
    """

    starts: torch.Tensor
    lengths: torch.Tensor
    blocks: torch.Tensor
    most_new: int
    most_length: int


@dataclass(frozen=True, slots=True)
class VarlenAttentionStep:
    """One step's attention by `function`. `written` `[tokens]` is where the new keys and values go."""

    function: Varlen
    cache: KvCache
    written: torch.Tensor
    rows: VarlenRows

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""
        store_kv(self.cache, layer, self.written, new)
        return self.attend_stored(layer, new.query[0].transpose(0, 1), scoring)[None]

    def attend_stored(self, layer: int, query: torch.Tensor, scoring: Scoring) -> torch.Tensor:
        """Each token's answer `[tokens, heads, head_dim]` to a query of that shape; its key is stored."""
        paged = (query, self.cache.keys[layer], self.cache.values[layer])
        return _call(self.function, paged, self.rows, scoring)


def varlen_step(
    function: Varlen, cache: KvCache, laid: Sequence[LaidRow], send: Send | None = None
) -> VarlenAttentionStep:
    """The attention of `laid`, for this step alone."""
    send = send or each_by_itself(cache.keys[0].device)
    starts, lengths, written = (
        send(torch.tensor(numbers, dtype=torch.int32))
        for numbers in (
            list(accumulate((item.tokens for item in laid), initial=0)),
            [item.length for item in laid],
            written_places(laid, cache.block_tokens),
        )
    )
    rows = VarlenRows(
        starts=starts,
        lengths=lengths,
        blocks=send(block_table(laid, cache.block_tokens, len(laid))),
        most_new=max(item.tokens for item in laid),
        most_length=max(item.length for item in laid),
    )
    return VarlenAttentionStep(function, cache, written, rows)


def _call(
    function: Varlen,
    paged: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    rows: VarlenRows,
    scoring: Scoring,
) -> torch.Tensor:
    query, keys, values = paged
    return function(
        query,
        keys,
        values,
        rows.starts,
        None,
        rows.most_new,
        rows.most_length,
        scale=scoring.scaling,
        # torch counts the keys before the query's own.
        window_size=(-1 if scoring.window is None else scoring.window - 1, 0),
        enable_gqa=query.shape[1] != keys.shape[2],
        seqused_k=rows.lengths,
        block_table=rows.blocks,
    )
