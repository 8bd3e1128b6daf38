"""Dashboards: unique identities, a data source that is asked for, panels that say what they show."""

import json
from pathlib import Path
from typing import Any

from checks.check import Found, named
from checks.expressions import DASHBOARDS


def dashboards_are_whole() -> Found:
    """Each has an identity of its own; each panel a title, a description, a place and a unit."""
    found, uids = [], []
    for path in DASHBOARDS:
        board = json.loads(path.read_text("utf-8"))
        uids.append(board["uid"])
        found += [f"{named(path)}: {fault}" for fault in _faults(board)]
    return found + [f"the uid {uid} is used twice" for uid in sorted(set(uids)) if uids.count(uid) > 1]


def _faults(board: dict[str, Any]) -> Found:
    panels, found = board["panels"], []
    ids = [panel["id"] for panel in panels]
    if len(set(ids)) != len(ids):
        found.append("two panels share an id")
    for panel in panels:
        if panel["type"] == "row":
            continue
        found += [f"panel {panel['title']} has no {part}" for part in ("description",) if not panel.get(part)]
        if panel["datasource"]["uid"] != "${datasource}":
            found.append(f"panel {panel['title']} names a data source instead of asking for one")
    return found + [f"panels {one} and {other} overlap" for one, other in _overlaps(panels)]


def _overlaps(panels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    places = [(panel["title"], panel["gridPos"]) for panel in panels]
    return [
        (one, other)
        for number, (one, here) in enumerate(places)
        for other, there in places[number + 1 :]
        if here["x"] < there["x"] + there["w"]
        and there["x"] < here["x"] + here["w"]
        and here["y"] < there["y"] + there["h"]
        and there["y"] < here["y"] + here["h"]
    ]


def links_of_the_chart_lead_to_the_files() -> Found:
    """The chart ships the same rules and dashboards: links, not copies."""
    folder = Path(__file__).resolve().parents[1] / "helm" / "parfocal" / "files"
    linked = {path.resolve() for path in folder.rglob("*") if path.is_symlink()}
    wanted = [*DASHBOARDS, *sorted((folder.parents[2] / "prometheus" / "rules").glob("*.yml"))]
    return [
        f"{named(folder)} has no link to {named(path)}" for path in wanted if path.resolve() not in linked
    ]
