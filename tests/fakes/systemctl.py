"""`systemctl` for a root in which no systemd runs: starts services under the settings of their units.

    python systemctl.py daemon-reload | start | stop | restart | enable --now | disable --now   UNIT...

Of a unit it honours what decides whether a program works: user, environment, folders, umask, credentials,
read-only system, no rights, notification, and the time to stop. What a service says is in /var/log/UNIT.log.
"""

import contextlib
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

UNITS = Path("/etc/systemd/system")
RUN = Path("/run/fake-systemd")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
SECONDS = {"s": 1, "min": 60}
Unit = dict[str, list[str]]


def main(words: list[str]) -> int:
    """Does what the words ask for; returns the exit status."""
    verb, *units = [word for word in words if word != "--now"]
    RUN.mkdir(exist_ok=True)
    deeds = {
        "start": _start,
        "stop": _stop,
        "restart": _restart,
        "enable": _start,
        "disable": _stop,
        "hold": _hold,
    }
    return max((deeds[verb](_full(name)) for name in units), default=0)


def _full(name: str) -> str:
    return name if "." in name else f"{name}.service"


def _read(name: str) -> Unit:
    """The settings of a unit, each with its values in order."""
    found: Unit = defaultdict(list)
    for line in (UNITS / name).read_text("utf-8").splitlines():
        key, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            found[key.strip()].append(value.strip())
    return found


def _restart(name: str) -> int:
    return _stop(name) or _start(name)


def _start(name: str) -> int:
    """Returns once the service is ready, as `systemctl start` does for what notifies."""
    unit = _read(name)
    if "ExecStart" not in unit:
        return 0  # a timer: its time does not come here
    if unit["Type"] == ["oneshot"]:
        with _log(name) as log:
            return subprocess.run(_command(name, unit), stdout=log, stderr=log, check=False).returncode
    (RUN / name).unlink(missing_ok=True)
    holder = [sys.executable, __file__, "hold", name]
    subprocess.Popen(holder, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + _seconds(unit["TimeoutStartSec"][-1])
    while (state := _state(name)) == "" and time.monotonic() < until:
        time.sleep(0.05)
    return 0 if state.startswith("ready") else 1


def _hold(name: str) -> int:
    """Runs a service that notifies, and keeps what became of it in a file."""
    unit = _read(name)
    address = RUN / f"{name}.socket"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, _log(name) as log:
        listener.bind(str(address))
        address.chmod(0o666)
        listener.settimeout(0.1)
        command = _command(name, unit, f"NOTIFY_SOCKET={address}")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            while process.poll() is None:
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in listener.recv(4096):
                        (RUN / name).write_text(f"ready {process.pid}")
    (RUN / name).write_text(f"ended {process.returncode}")
    return 0


def _stop(name: str) -> int:
    """Sends SIGTERM, and SIGKILL when the unit's time is over, which counts as a failure."""
    state = _state(name)
    if not state.startswith("ready"):
        return 0
    process = int(state.split()[1])
    os.kill(process, signal.SIGTERM)
    until = time.monotonic() + _seconds(_read(name)["TimeoutStopSec"][-1])
    while (state := _state(name)).startswith("ready"):
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            return 1
        time.sleep(0.05)
    return int(state.split()[1])


def _state(name: str) -> str:
    path = RUN / name
    return path.read_text() if path.exists() else ""


def _command(name: str, unit: Unit, *variables: str) -> list[str]:
    """The command of the service, in a mount namespace of its own and without any of root's rights."""
    user = pwd.getpwnam(unit["User"][-1])
    credentials = _credentials(name, unit, user)
    kept = [_folder(base, value, unit, user) for base, value in _folders(unit)]
    words = [word.replace("%d", str(credentials)) for word in shlex.split(unit["ExecStart"][-1])]
    told = [f"PATH={PATH}", f"USER={user.pw_name}", f"LOGNAME={user.pw_name}", f"HOME={user.pw_dir}"]
    told += [f"CREDENTIALS_DIRECTORY={credentials}", *variables, *unit["Environment"]]
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    dropped = [*drop, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    folder, umask = unit.get("WorkingDirectory", ["/"])[-1], f'umask {unit["UMask"][-1]}; exec "$@"'
    inner = [*dropped, "env", "-i", "-C", folder, *told, "sh", "-c", umask, "sh", *words]
    lines = ["mount --make-rprivate /", "mount -t tmpfs -o mode=1777 tmpfs /tmp"]
    lines += [f"mount --bind {path} {path}" for path in [*kept, RUN]]
    lines += ["mount -o remount,bind,ro /", f"exec {shlex.join(inner)}"]
    return ["unshare", "--mount", "sh", "-euc", "\n".join(lines)]


def _folders(unit: Unit) -> list[tuple[str, str]]:
    named = (("/var/lib", "StateDirectory"), ("/var/cache", "CacheDirectory"))
    return [(base, key) for base, key in named if key in unit]


def _folder(base: str, key: str, unit: Unit, user: pwd.struct_passwd) -> Path:
    """A folder of the service's own, which it may write to."""
    path = Path(base, unit[key][-1])
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(int(unit[f"{key}Mode"][-1], 8))
    os.chown(path, user.pw_uid, user.pw_gid)
    return path


def _credentials(name: str, unit: Unit, user: pwd.struct_passwd) -> Path:
    """The folder of what `LoadCredential` names, as it is now, readable to the service alone."""
    folder = RUN / "credentials" / name
    folder.mkdir(parents=True, exist_ok=True)
    for each in unit["LoadCredential"]:
        own, _, source = each.partition(":")
        path = folder / own
        path.unlink(missing_ok=True)
        path.write_bytes(Path(source).read_bytes())
        path.chmod(0o400)
        os.chown(path, user.pw_uid, user.pw_gid)
    return folder


def _log(name: str) -> BinaryIO:
    return Path("/var/log", f"{name}.log").open("ab")


def _seconds(text: str) -> float:
    """The seconds of a time.

    >>> _seconds("30min")
    1800
    """
    found = re.fullmatch(r"(\d+)(s|min)", text)
    assert found, f"{text} is no time that is known here"
    return int(found[1]) * SECONDS[found[2]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
