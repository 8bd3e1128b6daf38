"""The guide's service on one machine, as it is printed, from the installation to its end.

It runs as root in a root of its own, under the settings of the units. Without Docker or systemd: a fake of
`systemctl` starts the services, and what apt and pip would download is taken from this environment.
"""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from checks.builder import Builder, StageFailed, closed_folders, reason_not_to_build
from checks.check import ROOT
from checks.dockerfile import Dockerfile, Stage, Step
from fakes import systemctl
from guides.guide import blocks
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import locate_base

HEADING = "\n## On one machine\n"
PARTS = (
    "install",
    "publish",
    "keys",
    "certificate",
    "renewal",
    "backup",
    "restore",
    "upgrade",
    "back",
    "uninstall",
)
# What the guide's `git` does: the checkout is the one of the desk, and has nothing new.
GIT = """#!/bin/sh
set -eu
case "$1" in
clone) cp -r {desk}/repository "$3" ;;
rev-parse) echo 0123abc ;;
reset) [ "$3" = 0123abc ] ;;
pull) ;;
*) exit 9 ;;
esac
"""
PYTHON = Path(sys.executable)
BUILD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = "400"
# What a virtual environment of the guide has here: this environment's libraries, and pip in name only.
VENV = """#!/bin/sh
set -eu
[ "$1 $2" = "-m venv" ]
{python} -m venv --without-pip "$3"
cp {desk}/libraries.pth "$3"/lib/python*/site-packages/
cp {desk}/pip "$3/bin/pip"
{{ echo "#!$3/bin/python"; cat {desk}/command.py; }} > "$3/bin/parfocal"
chmod +x "$3/bin/parfocal"
"""
COMMAND = """import sys
from parfocal.cli.__main__ import main
sys.exit(main())
"""
# After each part: what is looked at then.
CHECKS = {
    "install": "stat -c '%U:%G %a %n' /etc/parfocal/* > modes.txt",
    "publish": "parfocal ls --json > published.txt",
    "keys": """
        sleep 2
        stat -c '%U:%G %a' /etc/parfocal/keys > keys_modes.txt
        parfocal ls --json > with_new_key.txt
        PARFOCAL_API_KEY_FILE=old.key parfocal ls 2> with_old_key.txt && exit 9""",
    "certificate": "PARFOCAL_TLS_CA=~/both.crt parfocal ls --json > before_renewal.txt",
    "renewal": """
        stat -c '%U:%G %a %n' /etc/parfocal/tls* > renewed_modes.txt
        PARFOCAL_TLS_CA=~/both.crt parfocal ls --json > after_renewal.txt
        parfocal ls --json > with_new_certificate.txt""",
    "backup": """
        find /var/backups/parfocal -printf '%U %m %y\\n' | sort -u > backup_modes.txt
        id --user parfocal > user.txt
        systemctl start parfocal-verify.service; cp /var/log/parfocal-verify.service.log verified.txt""",
    "restore": """
        parfocal ls --json > restored.txt
        stat -c '%U:%G %a %n' /etc/parfocal/* > restored_modes.txt""",
    "upgrade": """
        parfocal ls --json > upgraded.txt
        ls -d /opt/parfocal-* | wc -l > homes.txt
        readlink /opt/parfocal > upgraded_home.txt""",
    "back": "parfocal ls --json > gone_back.txt; ls -d /opt/parfocal-* | head -n 1 > first_home.txt; "
    "readlink /opt/parfocal > home.txt",
    "uninstall": """
        find /opt /etc /var/lib /var/cache /var/backups /usr/local /usr/lib/*.d -name '*parfocal*' > left.txt
        find ~ -name me.key -o -name both.crt -o -name '*parfocal*' >> left.txt
        id parfocal 2> id.txt && exit 9
        tail -n 1 /var/log/parfocal.service.log > last.txt""",
}
_WHY_NOT = reason_not_to_build("ip", "openssl", "curl", "systemd-sysusers", "systemd-tmpfiles")
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)


def _printed(folder: Path) -> dict[str, str]:
    """The commands of the guide's section, by part."""
    guide = (ROOT / "deploy" / "README.md").read_text("utf-8")
    section = folder / "section.md"
    section.write_text(guide.partition(HEADING)[2].partition("\n## ")[0])
    texts = [block.text for block in blocks(section)]
    return dict(zip(PARTS, texts, strict=True))


def _script(parts: dict[str, str], desk: Path) -> str:
    """All parts, each followed by what is looked at; what a part prints is kept by its name."""
    lines = ["ip link set lo up", "umask 022", "export HOME=/root"]
    lines.append("trap 'for log in /var/log/parfocal*.log; do tail -n 12 $log; done' ERR")
    for name, text in parts.items():
        if name == "keys":
            lines.append("cp ~/me.key old.key")
        lines.append(f"cd {desk}/place\nexport PATH={desk}/stubs:{BUILD_PATH}\n{{\n{text}\n}} > {name}.txt")
        lines.append(f"cd {desk}/place\nPATH=$PATH:/opt/parfocal/bin\n{CHECKS[name]}")
    return "\n".join(lines)


def _stub(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository, a place with an adapter to publish, and the commands that are not the machine's own."""
    desk = tmp_path_factory.mktemp("desk")
    units = shutil.copytree(ROOT / "deploy" / "systemd", desk / "repository" / "deploy" / "systemd")
    with (units / "parfocal.toml").open("a", encoding="utf-8") as settings:
        settings.write('kv_cache_bytes = "8MiB"\n')  # other tests run on this machine too
    base = locate_base("tiny", weights=True).folder
    write_adapter(desk / "place" / "my-adapter", base, AdapterShape(rank=4), 1)
    paths = [str(ROOT / portion) for portion in ("protos", "registry", "server", "training")]
    paths += sorted({path for path in sys.path if path.endswith("site-packages")})
    (desk / "libraries.pth").write_text("".join(f"{path}\n" for path in paths))
    (desk / "command.py").write_text(COMMAND)
    (desk / "stubs").mkdir()
    _stub(desk / "pip", "#!/bin/sh\nexit 0\n")
    _stub(desk / "stubs" / "apt-get", "#!/bin/sh\nexit 0\n")
    _stub(desk / "stubs" / "git", GIT.format(desk=desk))
    _stub(desk / "stubs" / "python3", VENV.format(python=PYTHON, desk=desk))
    _stub(desk / "stubs" / "systemctl", f'#!/bin/sh\nexec {PYTHON} {systemctl.__file__} "$@"\n')
    return desk


@pytest.fixture(scope="module")
def walked(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the whole section has been run."""
    # A network and processes of its own: every port is free, and nothing outlives it.
    alone = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words = ["timeout", "--kill-after=5", LIMIT_S, *alone, "bash", "-euo", "pipefail", "-c"]
    steps = [Step("RUN", shlex.join([*words, _script(_printed(desk), desk)]))]
    builder = Builder(
        file=Dockerfile([Stage("machine", "debian", steps)]),
        context=ROOT,
        base=Path("/"),
        work=tmp_path_factory.mktemp("work"),
        lent=[desk],
        opened=closed_folders(PYTHON.resolve(), ROOT, *map(Path, sys.path)),
    )
    try:
        builder.build("machine")
    except StageFailed as failed:
        if "overlay" in str(failed):
            pytest.skip(f"this machine mounts no overlay: {failed}")
        raise
    return desk / "place"


def _adapters(path: Path) -> list[str]:
    return [each["name"] for each in json.loads(path.read_text("utf-8"))["adapters"]]


def test_a_stranger_gets_an_answer_over_tls_with_a_key(walked: Path) -> None:
    answer = json.loads((walked / "install.txt").read_text("utf-8").splitlines()[-1])

    assert answer["choices"][0]["finish_reason"] in ("length", "stop")
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert (walked / "modes.txt").read_text("utf-8").splitlines() == [
        "root:parfocal 640 /etc/parfocal/keys",
        "root:parfocal 640 /etc/parfocal/parfocal.toml",
        "root:root 644 /etc/parfocal/tls.crt",
        "root:root 600 /etc/parfocal/tls.key",
    ]


def test_an_adapter_is_published_over_the_wire(walked: Path) -> None:
    assert _adapters(walked / "published.txt") == ["team/invoices"]


def test_a_new_key_counts_and_the_old_one_counts_no_more(walked: Path) -> None:
    assert _adapters(walked / "with_new_key.txt") == ["team/invoices"]
    assert "key" in (walked / "with_old_key.txt").read_text("utf-8")
    assert (walked / "keys_modes.txt").read_text("utf-8") == "root:parfocal 640\n"


def test_callers_with_both_certificates_are_served_before_and_after_the_renewal(walked: Path) -> None:
    for when in ("before_renewal", "after_renewal", "with_new_certificate"):
        assert _adapters(walked / f"{when}.txt") == ["team/invoices"]
    assert (walked / "renewed_modes.txt").read_text("utf-8").splitlines() == [
        "root:root 644 /etc/parfocal/tls.crt",
        "root:root 600 /etc/parfocal/tls.key",
    ]


def test_a_backup_is_open_to_those_whom_the_registry_is_open_to(walked: Path) -> None:
    user = (walked / "user.txt").read_text("utf-8").strip()
    found = [line.split() for line in (walked / "backup_modes.txt").read_text("utf-8").splitlines()]

    assert {each[0] for each in found} == {user}
    assert {mode for _, mode, kind in found if kind == "d"} == {"750"}
    assert {mode for _, mode, kind in found if kind == "f"} <= {"640", "440", "600"}


def test_a_backup_comes_back_and_an_upgrade_keeps_everything(walked: Path) -> None:
    assert _adapters(walked / "restored.txt") == ["team/invoices"]
    assert "all sound" in (walked / "restore.txt").read_text("utf-8")
    assert "root:root 600 /etc/parfocal/tls.key" in (walked / "restored_modes.txt").read_text("utf-8")
    assert _adapters(walked / "upgraded.txt") == ["team/invoices"]
    assert (walked / "homes.txt").read_text("utf-8").strip() == "2"


def test_an_upgrade_is_taken_back(walked: Path) -> None:
    home = (walked / "home.txt").read_text("utf-8")

    assert _adapters(walked / "gone_back.txt") == ["team/invoices"]
    assert home == (walked / "first_home.txt").read_text("utf-8")
    assert home != (walked / "upgraded_home.txt").read_text("utf-8")


def test_the_weekly_verification_finds_the_registry_sound(walked: Path) -> None:
    assert "Read 1 version" in (walked / "verified.txt").read_text("utf-8")


def test_nothing_is_left_after_the_end(walked: Path) -> None:
    assert (walked / "left.txt").read_text("utf-8") == ""
    assert "no such user" in (walked / "id.txt").read_text("utf-8")
    assert "Stopped" in (walked / "last.txt").read_text("utf-8")
