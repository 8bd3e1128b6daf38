"""Runs a Dockerfile's steps without Docker: each stage in a fresh root, with the same commands and users.

A stage is an overlay over the base, in a mount namespace of its own, so nothing stays mounted. It needs Linux
and root. Package registries are reached as this machine reaches them.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checks.dockerfile import Dockerfile, Stage, fill
from checks.image import Image, image_of

_MOUNT = re.compile(r"^--mount=(\S+)\s+")
_OTHER_STAGE = re.compile(r"(?:--from=|,from=)([\w-]+)")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class StageFailed(Exception):
    """A stage's steps ended with an error; the message ends with what they said last."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds stages of `file` under `work`, over `base`: the root of the system that the first FROM names.

    COPY reads from `context`; `arguments` are those of `docker build --build-arg`. A stage in `ready` is
    taken from that folder instead of being built. `lent` are files and folders of this machine that every
    step sees, such as its pip's settings; `opened` are folders of the base that every user may enter.
    """

    file: Dockerfile
    context: Path
    base: Path
    work: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    ready: Mapping[str, Path] = field(default_factory=dict)
    lent: Sequence[Path] = ()
    opened: Sequence[Path] = ()

    def build(self, name: str) -> Image:
        """Builds what the stage needs, then the stage. Raises StageFailed or StepUnknown."""
        lineage = self.file.lineage(name)
        image = image_of(lineage)
        for stage in lineage:
            if stage.name not in self.ready and not self._layer(stage.name).exists():
                for source in _sources(stage):
                    self.build(source)
                self._make(stage)
        return image

    def start(self, name: str, words: Sequence[str], *, has_network: bool = True) -> list[str]:
        """The command that runs `words` in a built image, as its user and without any of root's rights.

        Without the machine's network it has a loopback of its own, on which every port is free.
        """
        image = image_of(self.file.lineage(name))
        user, _, group = image.user.partition(":")
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        dropped = [*drop, "--bounding-set=-all", "--inh-caps=-all"]
        inner = [*dropped, "env", "-i", "-C", image.folder, *image.variables, *words]
        script = [*self._mounts(name), f"exec chroot {self._root(name)} {shlex.join(inner)}"]
        apart = [] if has_network else ["--net"]
        begin = [] if has_network else ["ip link set lo up"]
        # Of a process namespace of its own nothing is left when its first process ends.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *apart]
        return [*alone, "sh", "-euc", "\n".join([*begin, *script])]

    def _make(self, stage: Stage) -> None:
        layer, below = self._layer(stage.name), self.file.lineage(stage.name)[:-1]
        layer.mkdir(parents=True)
        # A copy of what it is built on: overlays that lie within the base itself cannot be stacked.
        inherited = [f"cp -a {self._layer(stage.name)}/. {layer}/" for stage in below[-1:]]
        script = [*inherited, *self._mounts(stage.name)]
        for number, step in enumerate(stage.steps):
            image = image_of([*below, Stage(stage.name, stage.base, stage.steps[:number])])
            if step.word == "WORKDIR":
                script.append(f"mkdir -p {self._root(stage.name)}{step.text}")
            elif step.word == "RUN":
                script += self._run(stage, step.text, image)
            elif step.word == "COPY":
                script.append(self._copy(stage, step.text, image.folder))
        command = ["unshare", "--mount", "sh", "-eu"]
        text = "\n".join(script)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise StageFailed(f"stage {stage.name} ended with {done.returncode}:\n{said}")

    def _mounts(self, name: str) -> list[str]:
        """Shell lines that mount a stage's root: what is written there goes into its layer."""
        root, layer = self._root(name), self._layer(name)
        scratch = layer.with_name("scratch")
        lines = [
            "mount --make-rprivate /",
            f"mkdir -p {root} {scratch}",
            f"mount -t overlay overlay -o lowerdir={self.base},upperdir={layer},workdir={scratch} {root}",
            f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
            f"mount -t tmpfs tmpfs {root}/tmp",
        ]
        lines += [line for path in self.lent for line in _lend(path, root)]
        return lines + [f"chmod o+rx {root}{path}" for path in self.opened]

    def _run(self, stage: Stage, text: str, image: Image) -> list[str]:
        """Shell lines for one RUN: its mounts, its command, and the end of its mounts."""
        root, before, after = self._root(stage.name), [], []
        while found := _MOUNT.match(text):
            text = text[found.end() :]
            options = dict(part.partition("=")[::2] for part in found[1].split(","))
            target = f"{root}{options['target']}"
            before += [f"mkdir -p {target}", f"mount --bind {self._mounted(options)} {target}"]
            after.append(f"umount {target}")
        variables = [f"PATH={_PATH}", *image.variables]
        variables += [f"{name}={value}" for name, value in {**_defaults(stage), **self.arguments}.items()]
        words = ["chroot", str(root), "env", "-i", "-C", image.folder, *variables, "/bin/sh", "-c", text]
        return [*before, shlex.join(words), *after]

    def _mounted(self, options: Mapping[str, str]) -> Path:
        """What a RUN sees at a mount's target: a cache that stays, or a folder of another stage."""
        if options["type"] == "bind":
            return Path(f"{self._layer(options['from'])}{options['source']}")
        cache = self.work / "caches" / options["target"].strip("/").replace("/", "_")
        cache.mkdir(parents=True, exist_ok=True)
        return cache

    def _copy(self, stage: Stage, text: str, folder: str) -> str:
        words, source = text.split(), self.context
        if words[0].startswith("--from="):
            source = self._layer(words.pop(0).partition("=")[2])
        *names, target = words
        place = f"{self._root(stage.name)}{target if target.startswith('/') else f'{folder}/{target}'}"
        paths = [source / name.strip("/") for name in names]
        # A folder's content is copied, a file as it is.
        copied = " ".join(f"{path}/." if path.is_dir() else str(path) for path in paths)
        return f"mkdir -p {place} && cp -a {copied} {place}/"

    def _root(self, name: str) -> Path:
        return self.work / "roots" / name

    def _layer(self, name: str) -> Path:
        return self.ready.get(name, self.work / "stages" / name / "layer")


def reason_not_to_build(*tools: str) -> str:
    """Why a Builder cannot work on this machine, or not with these tools in its roots; empty if it can."""
    missing = [name for name in ("unshare", "setpriv", *tools) if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        return f"needs root and {', '.join(missing) or 'overlays'}; on Debian: util-linux, iproute2, openssl"
    return ""


def closed_folders(*paths: Path) -> list[Path]:
    """Folders on the way to these paths that only their owner may enter, for `Builder.opened`."""
    ways = {parent for path in paths for parent in (path, *path.parents) if parent.is_dir()}
    return sorted(folder for folder in ways if folder.is_absolute() and not folder.stat().st_mode & 0o001)


def _lend(path: Path, root: Path) -> list[str]:
    make = "mkdir -p" if path.is_dir() else "touch"
    target = f"{root}{path}"
    return [
        f"mkdir -p {root}{path.parent}",
        f"{make} {target}",
        f"mount --bind {path.resolve()} {target}",
    ]


def _sources(stage: Stage) -> list[str]:
    """The stages that a stage copies from or mounts."""
    return [name for step in stage.steps for name in _OTHER_STAGE.findall(step.text)]


def _defaults(stage: Stage) -> dict[str, str]:
    """The values of the arguments that a stage declares."""
    arguments: dict[str, str] = {}
    for step in (each for each in stage.steps if each.word == "ARG"):
        name, _, value = step.text.partition("=")
        arguments[name] = fill(value.strip('"'), arguments)
    return arguments
