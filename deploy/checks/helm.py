"""The chart: linted, rendered with values that it must take or refuse, held against Kubernetes' schemas."""

import re
from pathlib import Path

import yaml

from checks.check import DEPLOY, Found, faults, named, run, tool

CHART = DEPLOY / "helm" / "parfocal"
CASES = DEPLOY / "helm" / "cases"
_REFUSED = re.compile(r"^# refused: (.+)$", re.MULTILINE)
# Kinds that a cluster learns from somebody else; their schemas do not come with Kubernetes.
FOREIGN = {
    "cert-manager.io/v1",
    "gateway.networking.k8s.io/v1",
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
}


def good_values() -> list[Path]:
    """Values that the chart must take."""
    return sorted((CASES / "good").glob("*.yaml"))


def bad_values() -> list[Path]:
    """Values that the chart must refuse; the first line of each says with which words."""
    return sorted((CASES / "bad").glob("*.yaml"))


def render(values: Path) -> tuple[int, str]:
    """What `helm template` says to these values: its exit status, and the documents or the refusal."""
    command: list[str | Path] = [
        tool("helm"),
        "template",
        "lens",
        CHART,
        "--namespace",
        "lenses",
        "--values",
        values,
    ]
    done = run([*command, "--kube-version", "1.33.0"])
    # Helm tells of every link that it follows.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("level=INFO")]
    return done.returncode, "\n".join(lines) + "\n"


def chart_passes_lint() -> Found:
    """`helm lint --strict` with every set of good values."""
    helm = tool("helm")
    return [
        f"{named(values)}: {line}"
        for values in good_values()
        for line in faults([helm, "lint", "--strict", "--quiet", CHART, "--values", values])
    ]


def good_values_make_good_objects() -> Found:
    """What good values render to fits Kubernetes' schemas, and nothing of ours is of an unknown kind."""
    validate, found = tool("kubernetes-validate"), []
    for values in good_values():
        status, text = render(values)
        if status:
            found.append(f"{named(values)}: {text.strip()}")
            continue
        documents = [document for document in yaml.safe_load_all(text) if document]
        native = [each for each in documents if each["apiVersion"] not in FOREIGN]
        lines = faults([validate, "--strict", "-"], yaml.safe_dump_all(native))
        found += [f"{named(values)}: {line}" for line in lines]
    return found


def bad_values_are_refused() -> Found:
    """Each with the words that it must be refused with."""
    found = []
    for values in bad_values():
        expected = _REFUSED.search(values.read_text("utf-8"))
        status, text = render(values)
        if expected is None:
            found.append(f"{named(values)}: its first line does not say: # refused: WORDS")
        elif status == 0:
            found.append(f"{named(values)}: accepted, where {expected[1]!r} was to be refused")
        elif expected[1] not in text:
            found.append(f"{named(values)}: refused without {expected[1]!r}: {text.strip()}")
    return found


def every_template_is_rendered_by_some_good_values() -> Found:
    """A template that no good values reach is checked by nothing."""
    texts = [render(values)[1] for values in good_values()]
    reached = set(re.findall(r"^# Source: parfocal/(templates/\S+)$", "\n".join(texts), re.MULTILINE))
    silent = {"templates/checks.yaml", "templates/NOTES.txt", "templates/_names.tpl"}
    templates = {str(path.relative_to(CHART)) for path in (CHART / "templates").rglob("*.*")}
    return [f"{name}: no good values render it" for name in sorted(templates - silent - reached)]
