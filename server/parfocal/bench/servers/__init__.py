"""Our own server as a process under test: started, watched, ended."""

from parfocal.bench.servers.own_server import OwnServer, ServerPlace, own_server
from parfocal.bench.servers.process import server_process
from parfocal.bench.servers.watch import Watched

__all__ = ["OwnServer", "ServerPlace", "Watched", "own_server", "server_process"]
