"""Whatever arrives in whatever order: right tokens, nothing leaked, nothing lost. Driven by hypothesis."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fakes.engine.engines import World
from parfocal.engine import EngineError, FinishReason, Pooling

digests = st.sampled_from(["", "a", "b", "c", "d", "e", "f"])
# Many begin alike, so that blocks are found again, shared, and left half computed.
prompts = st.builds(
    lambda alike, tail: (7,) * alike + tail,
    st.integers(0, 30),
    st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple),
)


class EngineMachine(RuleBasedStateMachine):
    """Two slots, six adapters, few blocks: loads end late or badly, callers leave, models fail."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(blocks=18)
        self.left: set[str] = set()
        self.broken: set[str] = set()

    @rule(prompt=prompts, digest=digests, tokens=st.integers(1, 20))
    def submit(self, prompt: tuple[int, ...], digest: str, tokens: int) -> None:
        self.world.submit(prompt, digest, tokens)

    @rule(
        prompt=prompts,
        digest=digests,
        tokens=st.integers(0, 5),
        top=st.integers(0, 2),
        pooling=st.sampled_from([None, None, *Pooling]),
    )
    def ask_of_the_prompt(
        self, prompt: tuple[int, ...], digest: str, tokens: int, top: int, pooling: Pooling | None
    ) -> None:
        tokens = 0 if pooling else tokens
        self.world.submit(prompt, digest, tokens, prompt_logprobs=top, pooling=pooling)

    @rule(prompt=prompts, digest=digests, pooling=st.sampled_from(Pooling))
    def embed(self, prompt: tuple[int, ...], digest: str, pooling: Pooling) -> None:
        self.world.submit(prompt, digest, 0, pooling=pooling)

    @rule(steps=st.integers(1, 6))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.world.engine.step()

    @rule(data=st.data())
    def end_a_load(self, data: st.DataObject) -> None:
        pending = self.world.loader.pending
        if pending:
            self.world.loader.succeed(data.draw(st.sampled_from(pending)))

    @rule(data=st.data())
    def fail_a_load(self, data: st.DataObject) -> None:
        pending = self.world.loader.pending
        if pending:
            self.world.loader.fail(data.draw(st.sampled_from(pending)), OSError("the disk is gone"))

    @rule(data=st.data())
    def find_no_memory_for_a_load(self, data: st.DataObject) -> None:
        loader = self.world.loader
        if loader.pending and loader.device.places:
            loader.crowd(data.draw(st.sampled_from(loader.pending)))

    @rule(data=st.data(), works=st.booleans())
    def end_a_prefetch(self, data: st.DataObject, works: bool) -> None:
        under_way = self.world.loader.prefetching
        if under_way:
            error = None if works else OSError("the disk is gone")
            self.world.loader.read(data.draw(st.sampled_from(under_way)), error)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.world.requests:
            name = data.draw(st.sampled_from(sorted(self.world.requests)))
            self.world.cancel(name)
            self.left.add(name)

    @rule(data=st.data())
    def break_the_model_on(self, data: st.DataObject) -> None:
        if self.world.requests:
            name = data.draw(st.sampled_from(sorted(self.world.requests)))
            self.world.runner.poisoned.add(name)
            self.broken.add(name)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        self.world.check_invariants()

    def teardown(self) -> None:
        world = self.world
        world.settle()
        world.check_rest()
        for name, completion in world.completions.items():
            got, right = list(completion.token_ids), world.answer(name)
            if completion.finish_reason is FinishReason.CANCELLED:
                assert name in self.left
                assert got == right[: len(got)]
            else:
                assert got == right
            world.check_outputs(name)
        for name, error in world.errors.items():
            assert isinstance(error, EngineError)
            assert name in self.broken or "the disk is gone" in str(error)


class OverlappingMachine(EngineMachine):
    """The same where tokens are sent while the device computes the next step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(blocks=18, overlaps=True)


EngineMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestEngineKeepsItsPromises = EngineMachine.TestCase
OverlappingMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOverlappingEngineKeepsItsPromises = OverlappingMachine.TestCase
