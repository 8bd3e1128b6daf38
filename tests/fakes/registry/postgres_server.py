"""A real PostgreSQL server of one's own, in a temporary folder and on a Unix socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = (
    *os.environ.get("PATH", "").split(os.pathsep),
    *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
)
# PostgreSQL refuses to run as root.
_USERS = ("postgres", "nobody")


class PostgresServer:
    """A server whose data are in `folder`; every database and user is `parfocal`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("initdb", "-D", self._data, "-U", "parfocal", "--auth=trust", "-N", "-E", "UTF8")
        # Its commits must survive its own death, not a power cut: nothing is forced to the disk.
        settings = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=100"
        self._options = ("-o", settings, "-l", str(folder / "log"))
        self.start()
        self._run("createdb", "-h", str(folder), "-U", "parfocal", "parfocal")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, schema: str) -> str:
        """The address of an index in this schema."""
        return f"postgresql://parfocal@/parfocal?host={self._folder}&schema={schema}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self._run("pg_ctl", "-D", self._data, "-w", *self._options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops it; `immediate` is as a crash is."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def _run(self, program: str, *words: str) -> None:
        command = [*_as_other_user(), str(_program(program)), *words]
        # A server that is started keeps what it is given as output.
        with (self._folder / "commands").open("ab") as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, cwd=self._folder, check=False, timeout=120
            )
        assert done.returncode == 0, (self._folder / "commands").read_text()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Runs a server until the end of the body."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is short
    try:
        if _as_other_user():
            shutil.chown(folder, str(_other_user()))
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def why_no_postgres() -> str:
    """Why no server can be run here, or nothing."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install 'parfocal[postgres]'"
    if any(_program(name) is None for name in ("initdb", "pg_ctl", "createdb")):
        return "no PostgreSQL server is installed: no initdb and pg_ctl on PATH or in /usr/lib/postgresql"
    if os.geteuid() == 0 and (_other_user() is None or shutil.which("setpriv") is None):
        return "PostgreSQL does not run as root, and there is no setpriv, or no user postgres or nobody"
    return ""


def _program(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join(_FOLDERS))
    return None if found is None else Path(found)


def _as_other_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(str(_other_user()))
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _other_user() -> str | None:
    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in _USERS if name in known), None)
