"""Around every rpc: errors become statuses with details. The only place here that catches everything."""

import contextlib
import logging
import uuid
from collections.abc import AsyncIterator

import grpc
from grpc_status import rpc_status

from parfocal.rpc.access import SERVER_FAULTS, current_call
from parfocal.rpc.status import DomainError, is_domain_error, rich_status
from parfocal.rpc.surround import Context, Continuation, RpcMethod, surround

log = logging.getLogger(__name__)


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Ends an rpc that raises a domain error with that error's status and details.

    Any other exception is INTERNAL: the caller gets only an id. Its traceback, and that of every domain error
    which is INTERNAL or DATA_LOSS, is logged under that id and the request's.
    Cancellation passes through untouched.
    """

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc inside the scope that turns errors into statuses."""
        rpc = await continuation(handler_call_details)
        return rpc and surround(rpc, handler_call_details.method, _errors_as_statuses)


@contextlib.asynccontextmanager
async def _errors_as_statuses(method: str, context: Context) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:  # the rpc has already ended itself with a status
        raise
    except Exception as error:  # the wire's one broad except: whatever it is, it ends only this rpc
        await _end(error, method, context)


async def _end(error: Exception, method: str, context: Context) -> None:
    shown = error if is_domain_error(error) else _Unexpected()
    _tell(error, shown, method)
    status = rpc_status.to_status(rich_status(shown))
    trailing = (*(context.trailing_metadata() or ()), *status.trailing_metadata)
    # The rpc may have ended itself and been cut off while it did so: then the status that it sent stands.
    with contextlib.suppress(grpc.aio.UsageError):
        await context.abort(status.code, status.details, trailing)


def _tell(error: Exception, shown: DomainError, method: str) -> None:
    """Notes how the rpc ends, and logs in full what is not the caller's fault."""
    call = current_call()
    call.reason = shown.reason
    if shown.status not in SERVER_FAULTS:
        return
    what = f"{method} failed"
    if isinstance(shown, _Unexpected):
        call.facts["error_id"] = shown.metadata["error_id"]
        what += f" unexpectedly, error id {shown.metadata['error_id']}"
    facts = {"request_id": call.request_id, "status": shown.status}
    log.error(what, exc_info=error, extra={"facts": facts})


class _Unexpected(Exception):
    """Replaces an exception that callers must not see."""

    status = "INTERNAL"
    reason = "INTERNAL"

    def __init__(self) -> None:
        error_id = uuid.uuid4().hex[:12]
        super().__init__(f"the server failed to do this; see error id {error_id} in its log")
        self.metadata = {"error_id": error_id, "request_id": current_call().request_id}
