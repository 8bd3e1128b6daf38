"""The plan that the device computes next, queued behind the running one before that one's result is known.

So the host's share of a step, to plan it, lay it out and launch it, passes while the device computes.
"""

from parfocal.engine.parts import PlanRunner
from parfocal.engine.scheduling import Plan, Scheduler


class Ahead:
    """At most one plan, from when it is queued until it runs or is given up."""

    def __init__(self, scheduler: Scheduler, runner: PlanRunner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._plan: Plan | None = None

    def queue(self) -> None:
        """Plans and queues what follows the running plan, if anything may follow it unseen."""
        plan = self._scheduler.schedule_ahead()
        if plan is None:
            return
        self._plan = plan
        if not self._runner.queue_next(plan):
            self.give_up()

    def take(self) -> Plan | None:
        """The queued plan, which is to be run now, if there is one."""
        plan, self._plan = self._plan, None
        return plan

    def give_up(self) -> None:
        """Forgets a queued plan that nothing computes any more: its requests are planned anew."""
        plan = self.take()
        if plan is not None:
            self._scheduler.abandon(plan)
