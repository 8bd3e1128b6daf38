"""What one step says of itself, read off the plan and off what is left in the queues and the cache."""

from parfocal.engine.observer import StepReport
from parfocal.engine.parts import Parts
from parfocal.engine.scheduling import Plan


def step_report(parts: Parts, plan: Plan, generated: int, seconds: float) -> StepReport:
    """Returns the figures of a step that took `seconds` and brought `generated` tokens."""
    prompt = sum(
        len(row.token_ids) for row in plan.rows if row.sampling is None or row.sampling.position == 0
    )
    pool, scheduler = parts.pool, parts.scheduler
    return StepReport(
        seconds=seconds,
        tokens=plan.tokens,
        prompt_tokens=prompt,
        generated_tokens=generated,
        running=len(scheduler.running),
        waiting=len(scheduler.waiting),
        blocks_used=pool.total - pool.free,
        blocks_cached=pool.cached,
        blocks_free=pool.free - pool.cached,
    )
