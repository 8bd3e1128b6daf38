"""The tables of access: whole, and told as they are."""

import grpc_health.v1.health_pb2
import grpc_reflection.v1alpha.reflection_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

import access_page
from parfocal.registry.faces.hub import HUB_ROUTES
from parfocal.server.faces.openai.access import ROUTES
from parfocal.v1 import inference_service_pb2, registry_service_pb2
from parfocal.v1.access import RULES

FILES = (
    inference_service_pb2,
    registry_service_pb2,
    grpc_health.v1.health_pb2,
    grpc_reflection.v1alpha.reflection_pb2,
)


def _holds(message: Descriptor | None, path: str) -> bool:
    """Whether a path of fields ends in a text."""
    name, _, rest = path.partition(".")
    field = None if message is None else message.fields_by_name.get(name)
    if field is None:
        return False
    return _holds(field.message_type, rest) if rest else field.type == field.TYPE_STRING


def test_every_rpc_has_one_row_and_every_row_an_rpc() -> None:
    rpcs = [
        f"{service.full_name}/{method.name}"
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]

    assert sorted(rule.of for rule in RULES) == sorted(rpcs)


def test_no_route_has_two_rows() -> None:
    for rules in (ROUTES, HUB_ROUTES):
        assert len({rule.of for rule in rules}) == len(rules)


def test_rows_name_fields_that_are_there() -> None:
    pool = descriptor_pool.Default()
    wrong = []
    for rule in RULES:
        service, _, method = rule.of.partition("/")
        message = pool.FindServiceByName(service).FindMethodByName(method).input_type
        wrong += [(rule.of, path) for path in rule.names if not _holds(message, path)]

    assert wrong == []


def test_the_page_tells_the_tables_as_they_are() -> None:
    told = access_page.PAGE.read_text("utf-8")

    assert told == access_page.page(), "write it anew: python tests/access_page.py"
