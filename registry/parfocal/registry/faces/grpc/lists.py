"""Pages of adapters, aliases and moves as messages. Knows messages, and waits for the registry."""

from parfocal.registry.errors import AliasNotFound
from parfocal.registry.faces.grpc.fitting import fitting
from parfocal.registry.faces.sight import seen_adapters
from parfocal.registry.registry import Registry
from parfocal.registry.values import (
    MAX_PAGE_SIZE,
    AdapterName,
    Alias,
    adapters_listing,
    checked_page_size,
    key_in,
    page_token,
)
from parfocal.registry.wire import (
    adapter_message,
    alias_message,
    fields_set,
    move_message,
    namespace_message,
    read_filter,
    read_move_filter,
)
from parfocal.rpc.access import Caller
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb


class Lists:
    """What a registry lists, page by page; each call blocks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def adapters(self, request: pb.ListAdaptersRequest, caller: Caller) -> pb.ListAdaptersResponse:
        where = read_filter(request.filter)
        page = seen_adapters(self._registry, caller, request.page_size, request.page_token, where)
        messages = map(adapter_message, page.items)
        adapters = fitting(messages)
        token = page.next_page_token
        if len(adapters) < len(page.items):
            token = page_token(adapters_listing(where), adapters[-1].name)
        applied = fields_set(request.filter)
        return pb.ListAdaptersResponse(adapters=adapters, next_page_token=token, applied_filters=applied)

    def namespaces(self, request: pb.ListNamespacesRequest) -> pb.ListNamespacesResponse:
        page = self._registry.namespaces(request.page_size, request.page_token)
        found = [namespace_message(held) for held in page.items]
        return pb.ListNamespacesResponse(namespaces=found, next_page_token=page.next_page_token)

    def aliases(self, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        size = checked_page_size(request.page_size)
        name = str(AdapterName.parse(request.name))
        listing = f"aliases/{name}/{request.alias}"
        after = key_in(request.page_token, listing)
        found = [alias for alias in self._registry.aliases(name) if request.alias in ("", alias.alias)]
        if request.alias and not found:
            raise AliasNotFound(
                f"adapter {name!r} has no alias {request.alias[:80]!a}; leave it out to list them all",
                adapter=name,
            )
        rest = [alias for alias in found if alias.alias > after]
        messages = fitting(self._alias_message(alias, request.include_history) for alias in rest[:size])
        token = page_token(listing, messages[-1].alias) if len(rest) > len(messages) else ""
        return pb.ListAliasesResponse(aliases=messages, next_page_token=token)

    def _alias_message(self, alias: Alias, include_history: bool) -> adapter_pb2.Alias:
        if not include_history:
            return alias_message(alias)
        return alias_message(alias, self._registry.alias_moves(alias.name, alias.alias, MAX_PAGE_SIZE).items)

    def moves(self, request: pb.ListAliasMovesRequest) -> pb.ListAliasMovesResponse:
        where = read_move_filter(request)
        page = self._registry.alias_moves(
            request.name, request.alias, request.page_size, request.page_token, where
        )
        moves = [move_message(move) for move in page.items]
        token, applied = page.next_page_token, fields_set(request)
        return pb.ListAliasMovesResponse(moves=moves, next_page_token=token, applied_filters=applied)
