"""Clients that know nothing of Parfocal: gRPC's own health and reflection clients, blocking."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from fakes.echo import NAME, Echo, serving
from parfocal.rpc import Service, WireServer, open_blocking_channel
from parfocal.v1 import (
    inference_service_pb2,
    inference_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
)

T = TypeVar("T")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _answer(self: object, request: object, context: object) -> None:
    """Stands for an rpc that somebody wrote; here nobody calls it."""


def _with_rpcs_but(servicer: type, *missing: str) -> object:
    """Returns a servicer of all rpcs of the service but these."""
    rpcs = {name for name in vars(servicer) if name[0].isupper()} - set(missing)
    return type(servicer.__name__, (servicer,), dict.fromkeys(rpcs, _answer))()


SERVICES = [
    Service(
        inference_service_pb2_grpc.add_InferenceServiceServicer_to_server,
        _with_rpcs_but(inference_service_pb2_grpc.InferenceServiceServicer, "Tokenize"),
        "parfocal.v1.InferenceService",
    ),
    Service(
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
        _with_rpcs_but(registry_service_pb2_grpc.RegistryServiceServicer, "SetAlias", "Watch"),
        "parfocal.v1.RegistryService",
    ),
]


def ask_wire(question: Callable[[grpc.Channel], T]) -> T:
    """Returns the answer to a question that a blocking client asks a server of the whole wire."""

    async def scenario() -> T:
        server = WireServer("127.0.0.1:0", SERVICES)
        await server.start()
        try:
            with open_blocking_channel(f"127.0.0.1:{server.port}") as channel:
                return await asyncio.to_thread(question, channel)
        finally:
            await server.stop()

    return asyncio.run(scenario())


@pytest.mark.parametrize("service", ["", "parfocal.v1.InferenceService", "parfocal.v1.RegistryService"])
def test_a_started_server_is_healthy(service: str) -> None:
    def check(channel: grpc.Channel) -> int:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
        return int(reply.status)

    assert ask_wire(check) == SERVING


def test_health_of_an_unknown_service_is_not_found() -> None:
    def check(channel: grpc.Channel) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as failed:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nobody"))
        return failed.value.code()

    assert ask_wire(check) is grpc.StatusCode.NOT_FOUND


def test_a_server_can_say_that_it_is_not_serving() -> None:
    async def scenario() -> list[int]:
        async with serving(Echo()) as (server, channel):
            stub = health_pb2_grpc.HealthStub(channel)
            answers = []
            for healthy in (False, True):
                await server.set_serving(healthy)
                answers.append((await stub.Check(health_pb2.HealthCheckRequest(service=NAME))).status)
            return answers

    assert asyncio.run(scenario()) == [NOT_SERVING, SERVING]


def test_reflection_names_every_service() -> None:
    def services(channel: grpc.Channel) -> set[str]:
        return set(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert ask_wire(services) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "parfocal.v1.InferenceService",
        "parfocal.v1.RegistryService",
    }


@pytest.mark.parametrize("name", ["ErrorInfo", "BadRequest", "RetryInfo"])
def test_reflection_describes_the_details_of_errors(name: str) -> None:
    def details(channel: grpc.Channel) -> str:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        return str(pool.FindMessageTypeByName(f"google.rpc.{name}").full_name)

    assert ask_wire(details) == f"google.rpc.{name}"


def test_reflection_describes_every_rpc_that_answers_and_no_other() -> None:
    def rpcs(channel: grpc.Channel) -> dict[str, list[str]]:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        names = ("InferenceService", "RegistryService")
        services = {name: pool.FindServiceByName(f"parfocal.v1.{name}") for name in names}
        return {name: [method.name for method in service.methods] for name, service in services.items()}

    declared = {
        "InferenceService": inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"],
        "RegistryService": registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
    }
    missing = {"Tokenize", "SetAlias", "Watch"}
    assert ask_wire(rpcs) == {
        name: [method.name for method in service.methods if method.name not in missing]
        for name, service in declared.items()
    }


def test_reflection_describes_messages_and_what_they_import() -> None:
    def fields(channel: grpc.Channel) -> list[str]:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        created = pool.FindMessageTypeByName("parfocal.v1.Version").fields_by_name["create_time"].message_type
        return [] if created is None else [field.name for field in created.fields]

    assert ask_wire(fields) == ["seconds", "nanos"]
