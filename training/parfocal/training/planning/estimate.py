"""Estimates a planned run's memory and time on this machine. Imports what trains only when asked."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from parfocal.registry.values import JSON
from parfocal.training.planning.memory import Memory, memory_needed
from parfocal.training.planning.plan import Plan
from parfocal.training.planning.work import Work, work_of

_GIB = 1 << 30
# A layer beside its 4-bit products: the adapter, norms, attention, the optimiser. Measured on two cores with
# the embedded base and a random Llama of 135 M parameters: tests/bench/training_estimates.py.
_LAYER = 2.6
_HEAD = 1.0
# What a CPU's allocator keeps of freed memory after some steps of varied lengths, and libraries build for
# the first: 380 to 590 MiB on the two bases, measured there too. It is not returned at each step, nor is
# every tensor mapped anew: both cost a small base time.
_HEAP_BYTES = 512 << 20
_FORWARD = 1 / 3  # of the time both ways
_ESTIMATED = ("sft", "text")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take on this machine, `usual` steps long; at most `Work.steps`.

    `memory` and `seconds` are None where the base's configuration does not tell its shape.
    """

    work: Work
    usual: int
    device: str
    dtype: str
    trained: int | None
    memory: Memory | None
    free_bytes: int
    seconds: float | None

    def to_json(self) -> dict[str, JSON]:
        """The estimate as a JSON object; memory in bytes, times in seconds."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "tokens": dict(self.work.to_json()),
            "usual_steps": self.usual,
            "trained_weights": self.trained,
            "memory_bytes": None if self.memory is None else dict(self.memory.to_json()),
            "free_bytes": self.free_bytes,
            "seconds": self.seconds,
        }

    def lines(self) -> Iterator[str]:
        """The estimate for people."""
        work = self.work
        share = work.learnt / max(1, work.tokens)
        length = f"{self.usual} steps, usually" if self.usual < work.steps else f"{work.steps} steps"
        part = self.usual / work.steps
        yield (
            f"{'tokens':<14}{work.tokens * part:,.0f} in {length}; {share:.0%} of them are learnt, and "
            f"{1 - work.tokens / max(1, work.computed):.0%} of what is computed is padding"
        )
        if self.trained is not None:
            yield f"{'adapter':<14}{self.trained:,} weights are trained"
        if self.memory is None or self.seconds is None:
            yield f"{'memory, time':<14}not estimated: the base's configuration does not tell its shape"
            return
        yield f"{'memory':<14}{_memory(self.memory)}, on {self.device} in {self.dtype}"
        most = f"; {_time(self.seconds / part)} at most" if self.usual < work.steps else ""
        yield f"{'time':<14}about {_time(self.seconds)}{most}; measured after ten steps"
        if self.memory.total - self.memory.process > self.free_bytes:
            yield (
                f"warning: {self.free_bytes / _GIB:.1f} GiB are free, and it needs "
                f"{(self.memory.total - self.memory.process) / _GIB:.1f}; a smaller micro_batch needs less"
            )


def estimate_lines(plan: Plan) -> Iterator[str]:
    """The estimate for people, as `estimated` makes it, or that there is none."""
    estimate = estimated(plan)
    if estimate is None:
        yield f"{'memory, time':<14}not estimated for method {plan.config.method}; measured after ten steps"
    else:
        yield from estimate.lines()


def estimated(plan: Plan) -> Estimate | None:
    """What the planned run would take here; measures this machine for half a second.

    None for methods that learn from more than answers: what they compute beside has not been measured.

    Raises:
        InvalidConfig: there is no such device.
    """
    if plan.config.method not in _ESTIMATED:
        return None
    from parfocal.training.methods import row_order, training_device

    config, chosen = plan.config, plan.hyperparameters
    batch = config.batch_size
    lengths = [len(sample.ids) for sample in plan.prepared.train]
    order = row_order(lengths, batch, chosen.steps, config.seed)
    watched = plan.prepared.validation or plan.prepared.held_out  # as while training
    work = work_of(plan.prepared.train, watched, order, chosen.micro_batch, chosen.steps)
    place = training_device(config)
    from parfocal.training.planning.machine import this_machine

    sizes = plan.sizes
    sides = (sizes.shape.hidden, sizes.shape.intermediate) if sizes else (64, 64)
    machine = this_machine(place, sides, work.computed // work.passes)
    draft = Estimate(
        work, chosen.planned_steps, machine.device, machine.dtype, None, None, machine.free_bytes, None
    )
    if sizes is None:
        return draft
    memory = memory_needed(sizes, chosen, work, machine.width, config.targets)
    on_gpu = machine.device.startswith("cuda")
    if on_gpu:
        memory = replace(memory, logits=0)
    else:
        memory = replace(memory, process=machine.process_bytes + _HEAP_BYTES)
    layers = machine.linear_s * sizes.linear_weights / machine.linear_weights * _LAYER
    head_share = work.columns / work.length * sizes.vocabulary * sizes.shape.hidden
    head = machine.linear_s * head_share / machine.linear_weights * _HEAD
    a_pass = layers + head
    part = chosen.planned_steps / work.steps
    per_token = a_pass * work.passes / work.computed
    looks = 1 + -(-chosen.planned_steps // chosen.evaluate_every)
    seconds = a_pass * work.passes * part + looks * work.watched * per_token * _FORWARD
    trained = sizes.adapter_weights(chosen.rank, config.targets)
    return replace(draft, trained=trained, memory=memory, seconds=seconds)


def _memory(memory: Memory) -> str:
    parts = (
        ("libraries", memory.process),
        ("base", memory.base),
        ("adapter and optimiser", memory.adapter),
        ("activations", memory.activations),
        ("logits", memory.logits),
    )
    shown = ", ".join(f"{name} {size / _GIB:.2f}" for name, size in parts if size)
    return f"about {memory.total / _GIB:.2f} GiB at most ({shown})"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
