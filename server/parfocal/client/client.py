"""The client that blocks."""

import os
from collections.abc import Sequence
from typing import Self, Unpack

from parfocal.client import rpcs
from parfocal.client.answers import Answer, Embeddings, LoadedAdapter, Model, Tokens
from parfocal.client.asking import EmbedOptions, Input, Options, Question
from parfocal.client.calling import Caller, Retries, Stream
from parfocal.client.errors import ClientError, TimedOut, Unavailable
from parfocal.client.paging import every_item
from parfocal.client.registries import RegistryClient
from parfocal.rpc import Credentials, Endpoint, open_blocking_channel

SERVER_VARIABLE = "PARFOCAL_ADDRESS"
DEFAULT_SERVER = "127.0.0.1:50051"


def reached(server: str | None, credentials: Credentials | None) -> Endpoint:
    """How a server is reached; what is not given is what the environment names."""
    server = server or os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
    return Endpoint.parse(server, Credentials.found_in(os.environ) if credentials is None else credentials)


class Client:
    """A server as a context manager; it connects at the first call.

    `server` is `host:port` or `unix:path`, and `grpcs://host:port` over TLS; by default what the environment
    names as `PARFOCAL_ADDRESS`, or port 50051 of this machine. It is shown `credentials`, by default those
    of `PARFOCAL_API_KEY`, `PARFOCAL_TLS_CA` and so on.
    `timeout` is how many seconds a call may take, retries included, where it is given none of its own; None
    is no limit. `retries` say how often a call is made that found no server, or a full one. May be used by
    any number of threads. All calls raise ClientError; the address may be refused with AddressInvalid.

    Example:
        with Client() as client:
            print(client.generate("Dear support, my parcel", adapter="team/support@prod").text)
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
        self._channel = open_blocking_channel(endpoint)
        self._caller = Caller(endpoint, self._channel, retries, timeout)
        self.registry = RegistryClient(self._caller)

    def generate(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> Answer:
        """The whole answer to a prompt, to `messages` or to `tokens`."""
        return self._caller.ask(rpcs.generate(prompt, **options), timeout)

    def stream(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> Stream:
        """The answer to a prompt, to `messages` or to `tokens`, as it becomes certain.

        Example:
            for delta in client.stream("Once upon a time", max_tokens=64):
                print(delta.text, end="", flush=True)
        """
        return self._caller.stream(rpcs.generate_stream(prompt, **options), timeout)

    def generate_batch(
        self, questions: Sequence[Question], *, timeout: float | None = None
    ) -> tuple[Answer | ClientError, ...]:
        """What became of each of several requests, in order: an answer, or the error that it ended with.

        Example:
            client.generate_batch([{"prompt": "Hi", "adapter": "team/a"}, {"prompt": "Hi", "max_tokens": 5}])
        """
        return self._caller.ask(rpcs.generate_batch(questions), timeout)

    def embed(
        self,
        inputs: Sequence[str | Sequence[int]],
        *,
        timeout: float | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Embeddings:
        """A vector for each text, or list of token ids: the base's last hidden states, pooled."""
        return self._caller.ask(rpcs.embed(inputs, **options), timeout)

    def detokenize(self, token_ids: Sequence[int], *, timeout: float | None = None) -> str:
        """The text that these tokens spell, special ones included."""
        return self._caller.ask(rpcs.detokenize(token_ids), timeout)

    def tokenize(
        self, prompt: str | None = None, *, timeout: float | None = None, **options: Unpack[Input]
    ) -> Tokens:
        """The tokens of a prompt, or of `messages` as they would be written for the `adapter`."""
        return self._caller.ask(rpcs.tokenize(prompt, **options), timeout)

    def model(self, *, timeout: float | None = None) -> Model:
        """The resident base and the limits of the server."""
        return self._caller.ask(rpcs.model(), timeout)

    def loaded_adapters(self, *, timeout: float | None = None) -> tuple[LoadedAdapter, ...]:
        """The adapters that the engine holds now."""
        return tuple(every_item(lambda token: self._caller.ask(rpcs.loaded_adapters(token), timeout)))

    def is_serving(self, *, timeout: float = 5.0) -> bool:
        """Whether a server is there and says that it serves."""
        try:
            return self._caller.ask(rpcs.is_serving(), timeout)
        except (Unavailable, TimedOut):
            return False

    def close(self) -> None:
        """Ends the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
