"""OpenAI's API over HTTP, on the same engine as gRPC: what existing clients call by changing an address."""

from parfocal.server.faces.openai.app import RestApp, RestParts
from parfocal.server.faces.openai.models import ServedBase

__all__ = ["RestApp", "RestParts", "ServedBase"]
