"""OpenAI's API over HTTP, on the same engine as gRPC: what existing clients call by changing an address."""

from parfocal.server.faces.openai.app import RestApp, RestParts
from parfocal.server.faces.openai.models import ServedBase
from parfocal.server.faces.openai.protocol import ConnectionLimits
from parfocal.server.faces.openai.server import RestServer

__all__ = ["ConnectionLimits", "RestApp", "RestParts", "RestServer", "ServedBase"]
