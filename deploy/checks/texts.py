"""YAML, JSON and shell files as such."""

import json
from pathlib import Path

from checks.check import DEPLOY, ROOT, Found, faults, named, tool


def yaml_is_tidy() -> Found:
    """yamllint, over every file that is not a template."""
    files = [path for ending in ("*.yaml", "*.yml") for path in sorted(DEPLOY.rglob(ending))]
    plain = [path for path in files if "templates" not in path.parts and not path.is_symlink()]
    return faults([tool("yamllint"), "--strict", "--config-file", DEPLOY / "checks/yamllint.yml", *plain])


def json_is_json() -> Found:
    """Every JSON file parses, and names no key twice."""
    return [fault for path in sorted(DEPLOY.rglob("*.json")) for fault in _faults_of_json(path)]


def scripts_are_sound() -> Found:
    """shellcheck, over every shell script of deploy/ and of CI."""
    scripts = [path for path in (*sorted(DEPLOY.rglob("*")), ROOT / ".ci/run") if _is_shell(path)]
    return faults([tool("shellcheck"), "--severity=style", *scripts])


def _faults_of_json(path: Path) -> Found:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"twice: {', '.join(twice)}")
        return dict(pairs)

    try:
        json.loads(path.read_text("utf-8"), object_pairs_hook=once)
    except ValueError as error:
        return [f"{named(path)}: {error}"]
    return []


def _is_shell(path: Path) -> bool:
    if not path.is_file() or path.suffix not in ("", ".sh"):
        return False
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and first.rstrip().endswith((b"/sh", b"bash"))
