"""The settings that deploy/ writes are settings that the server takes."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from checks import MissingTool
from checks.check import DEPLOY, run, tool
from checks.docker import DOCKERFILE
from checks.dockerfile import read_dockerfile
from checks.helm import good_values, render
from checks.image import image_of
from parfocal.server import ServeConfig, resolve_settings

UNIT = DEPLOY / "systemd" / "parfocal.service"


def _taken(path: Path, environment: dict[str, str]) -> ServeConfig:
    return resolve_settings(path, environment, {}).config


@pytest.mark.parametrize("values", good_values(), ids=lambda path: path.stem)
def test_a_server_takes_what_the_chart_writes(values: Path, tmp_path: Path) -> None:
    try:
        status, text = render(values)
    except MissingTool as missing:
        pytest.skip(str(missing))
    assert status == 0, text
    documents = [each for each in yaml.safe_load_all(text) if each]
    maps = [each["data"] for each in documents if each["kind"] == "ConfigMap"]
    settings = next(data["parfocal.toml"] for data in maps if "parfocal.toml" in data)
    (tmp_path / "parfocal.toml").write_text(settings)

    config = _taken(tmp_path / "parfocal.toml", {})

    assert config.keys or config.insecure
    deployment = next(each for each in documents if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > config.drain_s + 10
    mounted = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    named = [config.keys, config.tls_cert, config.tls_key, config.tls_client_ca]
    assert [path for path in named if path and str(Path(path).parent) not in mounted] == []


def test_a_server_takes_the_units_file_flags_and_variables() -> None:
    text = UNIT.read_text("utf-8")
    pairs = re.findall(r"^Environment=(PARFOCAL_\w+)=(.*)$", text, re.MULTILINE)

    config = _taken(DEPLOY / "systemd" / "parfocal.toml", dict(pairs))

    stop = re.search(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > config.drain_s + 10
    command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert command is not None
    flags = {word[2:].replace("-", "_") for word in shlex.split(command[1]) if word.startswith("--")}
    assert flags - {"config"} <= set(ServeConfig.__dataclass_fields__)


@pytest.mark.parametrize("name", ["server-cpu", "server-cuda", "registry"])
def test_a_server_takes_the_variables_of_an_image(name: str) -> None:
    image = image_of(read_dockerfile(DOCKERFILE).lineage(name))
    variables = dict(each.split("=", 1) for each in image.variables)

    config = resolve_settings(None, variables, {}).config

    assert config.grpc_address.startswith("0.0.0.0:") == (name != "registry")


def test_a_server_takes_what_compose_sets() -> None:
    service = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]["server"]
    variables = {name: str(value) for name, value in service["environment"].items()}

    config = resolve_settings(None, {**variables, "PARFOCAL_BASE": "tiny"}, {}).config

    assert config.keys
    assert int(service["stop_grace_period"].removesuffix("s")) > config.drain_s + 10


def test_the_guide_sets_what_compose_requires_before_the_first_command() -> None:
    required = re.findall(r"\$\{(\w+):?\?", (DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))
    section = (DEPLOY / "README.md").read_text("utf-8").partition("\n## With Docker Compose\n")[2]
    before = section.partition("\ndocker compose")[0]

    assert required
    assert [name for name in required if f"{name}=" not in before] == []


def test_the_chart_takes_the_values_that_the_guide_gives_it() -> None:
    try:
        helm = tool("helm")
    except MissingTool as missing:
        pytest.skip(str(missing))
    text = (DEPLOY / "README.md").read_text("utf-8").replace("\\\n", " ")
    (printed,) = re.findall(r"^helm install (.*)$", text, re.MULTILINE)

    done = run([helm, "template", *shlex.split(printed)])

    assert done.returncode == 0, done.stdout
    assert "registry.example/parfocal" in done.stdout
