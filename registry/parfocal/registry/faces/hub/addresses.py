"""How a caller knows this server."""

from starlette.requests import Request


def base_of(request: Request) -> str:
    """The address that the caller asked; a proxy before the server says whether that was over TLS."""
    forwarded = request.headers.get("x-forwarded-proto", "")
    scheme = forwarded if forwarded in ("http", "https") else request.url.scheme
    return f"{scheme}://{request.url.netloc}"
