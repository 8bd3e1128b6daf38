"""Answers rpcs without a servicer: not yet, while the server loads, or not at all. Knows no service."""

import grpc

from parfocal.rpc.errors import Loading, MethodNotImplemented
from parfocal.rpc.surround import Context, Continuation, RpcMethod

_RETRY_AFTER_S = 1.0


class UnservedInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Refuses an rpc without a servicer: with Loading until `opened`, then with MethodNotImplemented."""

    def __init__(self) -> None:
        self._is_open = False

    def opened(self) -> None:
        """Notes that every service is there now."""
        self._is_open = True

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc, or one that refuses."""
        rpc = await continuation(handler_call_details)
        return rpc or self._refusing(handler_call_details.method)

    def _refusing(self, method: str) -> RpcMethod:
        async def refuse(requests: object, context: Context) -> None:
            if not self._is_open:
                raise Loading("this server is still loading; try again soon", retry_after_s=_RETRY_AFTER_S)
            raise MethodNotImplemented(f"this server knows no rpc {method}", method=method)

        # The caller may take it for any kind of rpc; any kind can be refused before its first message.
        return grpc.stream_stream_rpc_method_handler(refuse)
