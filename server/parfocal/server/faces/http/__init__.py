"""Listens for HTTP, whoever answers; knows no route."""

from parfocal.server.faces.http.protocol import ConnectionLimits
from parfocal.server.faces.http.server import RestServer

__all__ = ["ConnectionLimits", "RestServer"]
