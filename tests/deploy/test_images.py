"""The images' steps, run without Docker: in a fresh root, as the user that the image names, to an answer.

What takes minutes, downloading and unpacking torch, is taken from this environment instead; everything
else is the Dockerfile's own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checks.builder import Builder, StageFailed, closed_folders, reason_not_to_build
from checks.check import ROOT
from checks.docker import DOCKERFILE
from checks.dockerfile import Dockerfile, Stage, Step, read_dockerfile

# As a stranger would, with what the image has: keys, a certificate, a server, its health, an answer, a drain.
_SESSION = """
set -eu
cd /tmp
parfocal keys add me --scope admin --file keys > me.key
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.crt 2> /dev/null
export PARFOCAL_KEYS=keys PARFOCAL_TLS_CERT=tls.crt PARFOCAL_TLS_KEY=tls.key PARFOCAL_KV_CACHE_BYTES=8MiB
"$@" & server=$!
tries=0
until {health} 2> /dev/null; do tries=$((tries + 1)); [ $tries -lt 240 ]; sleep 0.25; done
export PARFOCAL_API_KEY_FILE=me.key PARFOCAL_TLS_CA=tls.crt
parfocal generate "Good morning" --max-tokens 4 --json --address localhost:50051
if touch /opt/parfocal/written /etc/written 2> /dev/null; then exit 9; fi
id -u
kill -TERM $server
wait $server
"""


_WHY_NOT = reason_not_to_build("ip", "openssl")
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage `wheel` leaves, without the compiled kernels: those take a minute."""
    layer = tmp_path_factory.mktemp("wheel")
    folder = layer / "wheels"
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    environment = {**os.environ, "CXX": "no-compiler"}
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(ROOT / "constraints.txt", folder)
    return layer


@pytest.fixture(scope="module")
def libraries(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage `libraries-cpu` leaves, with this environment's libraries."""
    layer = tmp_path_factory.mktemp("libraries")
    home = layer / "opt" / "parfocal"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    paths = sorted({path for path in sys.path if path.endswith("site-packages")})
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in paths))
    (wheel,) = (wheels / "wheels").glob("*.whl")
    install = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    flags = ["--no-deps", "--no-index", "--quiet", "--force-reinstall"]
    subprocess.run([*install, *flags, str(wheel)], check=True, capture_output=True)
    # Its commands name the folder that they were made in.
    for script in (home / "bin").glob("parfocal*"):
        script.write_text(script.read_text().replace(str(layer), ""))
    return layer


@pytest.fixture(scope="module")
def builder(wheels: Path, libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Builds over this machine's own root, in which every folder on the way to Python may be entered."""
    return Builder(
        file=read_dockerfile(DOCKERFILE),
        context=ROOT,
        base=Path("/"),
        work=tmp_path_factory.mktemp("work"),
        ready={"wheel": wheels, "libraries-cpu": libraries},
        opened=closed_folders(Path(sys.executable).resolve(), ROOT, *map(Path, sys.path)),
    )


def test_the_cpu_image_serves_an_answer_over_tls_to_a_key_as_its_own_user(builder: Builder) -> None:
    try:
        image = builder.build("server-cpu")
    except StageFailed as failed:
        if "overlay" in str(failed) or "ermission" in str(failed):
            pytest.skip(f"this machine mounts no overlay: {failed}")
        raise
    health = " ".join(f"'{word}'" if " " not in word else f'"{word}"' for word in image.health)
    command = [*image.entrypoint, *image.command]
    session = ["sh", "-c", _SESSION.replace("{health}", health), "sh", *command]

    done = subprocess.run(
        ["timeout", "--kill-after=5", "240", *builder.start("server-cpu", session, has_network=False)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    answer, user = done.stdout.strip().rsplit("\n", 1)
    assert '"finish_reason"' in answer
    assert user == "10001"
    assert done.stderr.rstrip().endswith("Stopped")


def test_the_registrys_image_has_the_command_and_no_torch(builder: Builder) -> None:
    try:
        image = builder.build("registry")
    except StageFailed as failed:
        if "ermission" in str(failed) or "No matching distribution" in str(failed):
            pytest.skip(f"packages cannot be had here: {failed}")
        raise
    script = "set -eu; parfocal keys add me --scope read --file /tmp/keys; parfocal push --help; id -u"

    done = subprocess.run(
        builder.start("registry", ["sh", "-c", script], has_network=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (image.entrypoint, image.command) == (("parfocal",), ("--help",))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pf_")
    assert done.stdout.rstrip().endswith("10001")


def test_a_step_that_fails_says_which_stage_and_what_it_said(tmp_path: Path) -> None:
    steps = [Step("RUN", "echo some words && exit 3")]
    file = Dockerfile([Stage("broken", "base", steps)])

    with pytest.raises(StageFailed, match=r"(?s)stage broken ended with 3.*some words"):
        Builder(file, tmp_path, Path("/"), tmp_path / "work").build("broken")
