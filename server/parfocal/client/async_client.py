"""The client for asyncio."""

from collections.abc import Sequence
from typing import Self, Unpack

from parfocal.client import rpcs
from parfocal.client.answers import Answer, Embeddings, LoadedAdapter, Model, Tokens
from parfocal.client.asking import EmbedOptions, Input, Options, Question
from parfocal.client.async_registries import AsyncRegistryClient
from parfocal.client.calling import AsyncCaller, AsyncStream, Retries
from parfocal.client.client import Client, reached
from parfocal.client.errors import ClientError, TimedOut, Unavailable
from parfocal.client.paging import every_item_async
from parfocal.rpc import Credentials, open_channel


class AsyncClient:
    """A server as an asynchronous context manager of one event loop.

    See Client, which has the same calls and arguments.

    Example:
        async with AsyncClient() as client:
            async for delta in client.stream("Once upon a time", max_tokens=64):
                print(delta.text, end="", flush=True)
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        credentials: Credentials | None = None,
        timeout: float | None = None,
        retries: Retries = Retries(),  # noqa: B008  # frozen
    ) -> None:
        endpoint = reached(server, credentials)
        self._channel = open_channel(endpoint)
        self._caller = AsyncCaller(endpoint, self._channel, retries, timeout)
        self.registry = AsyncRegistryClient(
            self._caller, lambda: Client(server, credentials=endpoint.credentials, retries=retries)
        )

    async def generate(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> Answer:
        """The whole answer to a prompt, to `messages` or to `tokens`."""
        return await self._caller.ask(rpcs.generate(prompt, **options), timeout)

    def stream(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> AsyncStream:
        """The answer to a prompt, to `messages` or to `tokens`, as it becomes certain."""
        return self._caller.stream(rpcs.generate_stream(prompt, **options), timeout)

    async def generate_batch(
        self, questions: Sequence[Question], *, timeout: float | None = None
    ) -> tuple[Answer | ClientError, ...]:
        """What became of each of several requests, in order: an answer, or the error that it ended with.

        Example:
            client.generate_batch([{"prompt": "Hi", "adapter": "team/a"}, {"prompt": "Hi", "max_tokens": 5}])
        """
        return await self._caller.ask(rpcs.generate_batch(questions), timeout)

    async def embed(
        self,
        inputs: Sequence[str | Sequence[int]],
        *,
        timeout: float | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Embeddings:
        """A vector for each text, or list of token ids: the base's last hidden states, pooled."""
        return await self._caller.ask(rpcs.embed(inputs, **options), timeout)

    async def detokenize(self, token_ids: Sequence[int], *, timeout: float | None = None) -> str:
        """The text that these tokens spell, special ones included."""
        return await self._caller.ask(rpcs.detokenize(token_ids), timeout)

    async def tokenize(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Input]
    ) -> Tokens:
        """The tokens of a prompt, or of `messages` as they would be written for the `adapter`."""
        return await self._caller.ask(rpcs.tokenize(prompt, **options), timeout)

    async def model(self, *, timeout: float | None = None) -> Model:
        """The resident base and the limits of the server."""
        return await self._caller.ask(rpcs.model(), timeout)

    async def loaded_adapters(self, *, timeout: float | None = None) -> tuple[LoadedAdapter, ...]:
        """The adapters that the engine holds now."""
        pages = every_item_async(lambda token: self._caller.ask(rpcs.loaded_adapters(token), timeout))
        return tuple([each async for each in pages])

    async def is_serving(self, *, timeout: float = 5.0) -> bool:
        """Whether a server is there and says that it serves."""
        try:
            return await self._caller.ask(rpcs.is_serving(), timeout)
        except (Unavailable, TimedOut):
            return False

    async def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
