"""Divides one budget of bytes among base, adapters, KV cache and steps.

Pure arithmetic: knows no device and no tensors. What each part needs comes from the caller.
"""

from dataclasses import dataclass

from parfocal.engine.errors import EngineMisconfigured


@dataclass(frozen=True, slots=True)
class Workspace:
    """The most temporary memory of a step: a fixed part, and one for each token of context."""

    fixed_bytes: int
    context_token_bytes: int

    def size_bytes(self, context_tokens: int) -> int:
        """The bytes of a step whose longest row has `context_tokens`."""
        return self.fixed_bytes + self.context_token_bytes * context_tokens


@dataclass(frozen=True, slots=True)
class DeviceNeeds:
    """What a backend takes on its device besides base and KV cache: adapters, a step, and captured steps."""

    adapter_bytes: int
    workspace: Workspace
    graph_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KvNeeds:
    """A block's size, the longest context, and how many blocks all requests together could fill."""

    block_tokens: int
    block_bytes: int
    context_tokens: int
    most_blocks: int

    def context(self, blocks: int) -> int:
        """The longest context that a row can have with so many blocks."""
        return min(self.context_tokens, blocks * self.block_tokens)


@dataclass(frozen=True, slots=True)
class HostCache:
    """The most that adapters take in host memory; `within` says if that is the device's own memory."""

    size_bytes: int
    within: bool = True

    @property
    def counted_bytes(self) -> int:
        """Its share of the device's budget."""
        return self.size_bytes if self.within else 0


@dataclass(frozen=True, slots=True)
class Needs:
    """What the parts of an engine need; `adapters` says in words what `adapter_bytes` are for.

    `host` is for adapters beside the device, `graph_bytes` for what captured steps keep to themselves.
    """

    base_bytes: int
    adapter_bytes: int
    adapters: str
    kv: KvNeeds
    workspace: Workspace
    host: HostCache = HostCache(0)
    graph_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How many bytes there are, and in words where the number came from."""

    size_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """How an engine's memory is divided. `budget` is None where only the KV cache's size was stated."""

    base_bytes: int
    adapter_bytes: int
    adapters: str
    kv_bytes: int
    kv_blocks: int
    kv_tokens: int
    workspace_bytes: int
    budget: Budget | None
    host: HostCache = HostCache(0)
    graph_bytes: int = 0

    @property
    def host_bytes(self) -> int:
        """The most that adapters take in host memory."""
        return self.host.size_bytes

    @property
    def total_bytes(self) -> int:
        """The sum of all parts on the device."""
        parts = self.base_bytes + self.adapter_bytes + self.kv_bytes + self.workspace_bytes
        return parts + self.graph_bytes + self.host.counted_bytes

    def lines(self) -> list[str]:
        """The table as text, one part a line."""
        budget = self.budget
        limit = "" if budget is None else f"of {_shown(budget.size_bytes)}, {budget.source}"
        rows = [
            ("base", self.base_bytes, ""),
            ("adapters", self.adapter_bytes, f"at most, {self.adapters}"),
            ("host cache", self.host_bytes, self._host_note()),
            ("KV cache", self.kv_bytes, f"{self.kv_tokens} tokens"),
            ("workspace", self.workspace_bytes, "at most, in one step"),
            *([("graphs", self.graph_bytes, "at most, decode steps")] if self.graph_bytes else []),
            ("total", self.total_bytes, limit),
        ]
        return [f"{name:<10} {_shown(size):>12}  {note}".rstrip() for name, size, note in rows]

    def _host_note(self) -> str:
        where = "" if self.host.within else ", beside the device and the total"
        return f"at most, adapters without a slot{where}"


def divide(needs: Needs, budget: Budget) -> MemoryTable:
    """The division that gives the KV cache all that the other parts leave, up to what it can use.

    Raises:
        EngineMisconfigured: less than one block is left.
    """
    blocks = min(needs.kv.most_blocks, _fitting_blocks(needs, budget.size_bytes))
    if blocks < 1:
        raise _too_small(needs, budget)
    return _table(needs, blocks, budget)


def with_kv_cache(needs: Needs, kv_cache_bytes: int, budget: Budget | None) -> MemoryTable:
    """The division with a KV cache of the given size, up to what it can use.

    Raises:
        EngineMisconfigured: it cannot hold one block, or all parts together exceed the budget.
    """
    kv = needs.kv
    blocks = min(kv.most_blocks, kv_cache_bytes // kv.block_bytes)
    if blocks < 1:
        raise EngineMisconfigured(
            f"kv_cache_bytes {kv_cache_bytes} cannot hold one block of {kv.block_tokens} tokens, "
            f"which takes {kv.block_bytes} bytes; raise it",
            field="kv_cache_bytes",
        )
    table = _table(needs, blocks, budget)
    if budget is not None and table.total_bytes > budget.size_bytes:
        raise EngineMisconfigured(
            f"the engine needs {table.total_bytes} bytes: {_parts(table)}; there are {budget.size_bytes} "
            f"({budget.source}); lower kv_cache_bytes, host_cache_bytes, slots, max_rank or "
            "max_batch_tokens, or raise memory_bytes"
        )
    return table


def _fitting_blocks(needs: Needs, budget_bytes: int) -> int:
    """How many blocks fit; the workspace grows with the blocks until one row can fill its context."""
    kv, work = needs.kv, needs.workspace
    stays = needs.base_bytes + needs.adapter_bytes + needs.host.counted_bytes + needs.graph_bytes
    left = budget_bytes - stays - work.fixed_bytes
    blocks = (left - work.context_token_bytes * kv.context_tokens) // kv.block_bytes
    if blocks * kv.block_tokens >= kv.context_tokens:
        return blocks
    return left // (kv.block_bytes + work.context_token_bytes * kv.block_tokens)


def _table(needs: Needs, blocks: int, budget: Budget | None) -> MemoryTable:
    kv = needs.kv
    return MemoryTable(
        base_bytes=needs.base_bytes,
        adapter_bytes=needs.adapter_bytes,
        adapters=needs.adapters,
        kv_bytes=blocks * kv.block_bytes,
        kv_blocks=blocks,
        kv_tokens=blocks * kv.block_tokens,
        workspace_bytes=needs.workspace.size_bytes(kv.context(blocks)),
        budget=budget,
        host=needs.host,
        graph_bytes=needs.graph_bytes,
    )


def _too_small(needs: Needs, budget: Budget) -> EngineMisconfigured:
    smallest = _table(needs, 1, budget)
    return EngineMisconfigured(
        f"the engine needs at least {smallest.total_bytes} bytes: {_parts(smallest)}; there are "
        f"{budget.size_bytes} ({budget.source}); lower slots, max_rank, host_cache_bytes or "
        "max_batch_tokens, or raise memory_bytes"
    )


def _parts(table: MemoryTable) -> str:
    return (
        f"base {table.base_bytes}, adapters {table.adapter_bytes} ({table.adapters}), "
        f"host cache {table.host.counted_bytes}, KV cache {table.kv_bytes} ({table.kv_tokens} tokens), "
        f"workspace {table.workspace_bytes}, graphs {table.graph_bytes}"
    )


def _shown(size_bytes: int) -> str:
    unit = next(step for step in (30, 20, 10) if size_bytes >= 1 << step or step == 10)
    return f"{size_bytes / (1 << unit):.1f} { {30: 'GiB', 20: 'MiB', 10: 'KiB'}[unit] }"
