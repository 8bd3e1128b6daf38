"""Compiles the protos of parfocal.v1 to Python, beside them, or compares with `--check`. Knows no content."""

import importlib.resources
import sys
import tempfile
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "parfocal" / "v1"


def main() -> int:
    """Writes the generated modules; with `--check` only names stale ones, and returns 1 if there are any."""
    with tempfile.TemporaryDirectory() as folder:
        if compile_to(Path(folder)) != 0:
            return 2
        fresh = {path.name: path.read_bytes() for path in (Path(folder) / "parfocal" / "v1").iterdir()}
    stale = _stale(fresh)
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is stale; run: make protos", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        _replace(PACKAGE / name, fresh.get(name))
    return 0


def compile_to(folder: Path) -> int:
    """Compiles every proto into `folder` and returns the compiler's exit status, 0 for success."""
    messages = sorted(str(path.relative_to(ROOT)) for path in PACKAGE.glob("*.proto"))
    services = [path for path in messages if path.endswith("_service.proto")]
    # The plugins are scripts beside the interpreter, which PATH holds only in an activated environment.
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    known = (importlib.resources.files("grpc_tools") / "_proto", Path(status_pb2.__file__).parents[2])
    common = ["protoc", f"-I{ROOT}", *(f"-I{path}" for path in known), *plugins]
    return int(
        protoc.main([*common, f"--python_out={folder}", f"--mypy_out=quiet:{folder}", *messages])
        or protoc.main([*common, f"--grpc_python_out={folder}", f"--mypy_grpc_out=quiet:{folder}", *services])
    )


def _stale(fresh: dict[str, bytes]) -> list[str]:
    present = {path.name: path.read_bytes() for path in PACKAGE.glob("*_pb2*.py*")}
    return sorted(name for name in fresh.keys() | present.keys() if fresh.get(name) != present.get(name))


def _replace(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
