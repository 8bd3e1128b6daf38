"""A version as a page for people. What is long is cut, with a count."""

import json
from collections.abc import Iterable, Sequence

from parfocal.cli.canaries import held, points_at
from parfocal.cli.display import (
    say,
    show_heading,
    show_pairs,
    show_table,
    size_text,
    time_text,
)
from parfocal.cli.history import show_moves
from parfocal.cli.sight.cutting import first, shortened
from parfocal.cli.sight.data_report import DATA_REPORT, show_data_report
from parfocal.cli.sight.descent import lineage_lines
from parfocal.cli.sight.scores import show_scores
from parfocal.cli.sight.seen import Seen, Standing
from parfocal.registry import AliasMove, Contract, Manifest, Page, Provenance
from parfocal.registry.values import JSON

_MOST_ALIASES = 20
_MOST_MOVES = 10
_MOST_HYPER_PARAMETERS = 40
_MOST_TOOLS = 20
_MOST_WARNINGS = 20
_MOST_SUFFIXES = 20
_MOST_RULES = 3


def show_page(seen: Seen) -> None:
    """Prints it, the most important first."""
    manifest = seen.version.manifest
    _show_head(seen)
    if manifest.evaluation is not None:
        show_scores(manifest.evaluation, seen.previous)
    _show_aliases(seen.standings)
    show_heading("Lineage")
    for line in lineage_lines(seen):
        say(line)
    _show_contract(manifest.contract)
    if manifest.provenance is not None:
        _show_provenance(manifest.provenance)
    _show_lines("Warnings", manifest.warnings)
    _show_moves(seen.moves)


def _show_head(seen: Seen) -> None:
    version, manifest = seen.version, seen.version.manifest
    pointing = [held(each.alias, version.version) for each in seen.pointing]
    shown, more = first(pointing, _MOST_ALIASES, "aliases")
    show_pairs(
        [
            ("version", str(version)),
            ("digest", version.digest),
            ("published", time_text(version.created_at)),
            ("aliases", ", ".join([*shown, *([more] if more else [])]) or "none"),
            ("signed", shortened(seen.signatures.line(), 400)),
            *([("tags", ", ".join(manifest.tags))] if manifest.tags else []),
            ("size", f"{size_text(manifest.size)}: {_files(manifest)}"),
            *_served(seen),
        ]
    )


def _files(manifest: Manifest) -> str:
    return ", ".join(f"{file.path} ({size_text(file.size)})" for file in manifest.files)


def _served(seen: Seen) -> Iterable[tuple[str, str]]:
    """A registry keeps no account of who serves what; servers do."""
    if not seen.servers:
        return [("served by", "not known here; ask servers with --address HOST:PORT")]
    return [("served by", str(each)) for each in seen.servers]


def _show_aliases(standings: Sequence[Standing]) -> None:
    if not standings:
        return
    shown, more = first(standings, _MOST_ALIASES, "aliases")
    show_heading("Aliases of this adapter, and whether this version meets their gates")
    rows = [
        (
            each.alias.alias,
            points_at(each.alias),
            _gate_text(each),
            time_text(each.alias.moved_at),
            shortened(each.alias.actor, 60),
        )
        for each in shown
    ]
    show_table(("ALIAS", "POINTS AT", "GATE", "MOVED", "BY"), rows)
    if more:
        say(more)


def _gate_text(standing: Standing) -> str:
    verdict = standing.verdict
    if verdict is None:
        return "none" if standing.is_asked else "not asked"
    rules = len(verdict.evidence)
    if verdict.passed:
        return f"meets {'its rule' if rules == 1 else f'all {rules} rules'}"
    missed = [shortened(each.rule, 80) for each in verdict.failed]
    more = f" and {len(missed) - _MOST_RULES} more" if len(missed) > _MOST_RULES else ""
    return f"misses {len(missed)} of {rules}: {'; '.join(missed[:_MOST_RULES])}{more}"


def _show_contract(contract: Contract) -> None:
    base, targets = contract.base, contract.targets
    recipe = base.quantisation
    ranks = sorted({target.rank for target in targets})
    suffixes, more = first(
        sorted({target.path.rpartition(".")[2] for target in targets}), _MOST_SUFFIXES, "kinds"
    )
    show_heading("Contract")
    show_pairs(
        [
            ("base", base.id if base.verified else f"{base.id} (not verified at publishing)"),
            ("revision", base.revision or "none"),
            ("configuration", base.config_digest or "unknown"),
            ("tokenizer", base.tokenizer_digest or "unknown"),
            ("chat template", base.chat_template_digest or ("none" if base.verified else "unknown")),
            ("own template", contract.chat_template_digest or "none: chats are written with the base's"),
            ("rendering", shortened(str(contract.rendering or "not known"))),
            ("weights", base.weights_fingerprint or "unknown"),
            (
                "4-bit recipe",
                f"{recipe.method}, blocks of {recipe.block_size}, "
                f"{'double' if recipe.double_quant else 'single'} quantisation",
            ),
            ("modules", f"{len(targets)}: {', '.join([*suffixes, *([more] if more else [])])}"),
            ("rank", shortened(", ".join(map(str, ranks))) + (" (rsLoRA)" if contract.use_rslora else "")),
        ]
    )


def _show_provenance(provenance: Provenance) -> None:
    tools, more = first(sorted(provenance.tools.items()), _MOST_TOOLS, "tools")
    named = [f"{name} {version}" for name, version in tools]
    show_heading("Origin")
    show_pairs(
        [
            ("data", provenance.data_digest or "unknown"),
            *((("source", provenance.source),) if provenance.source else ()),
            ("parent", provenance.parent or _no_parent(provenance)),
            ("seed", "unknown" if provenance.seed is None else str(provenance.seed)),
            ("tools", ", ".join([*named, *([more] if more else [])])),
        ]
    )
    show_data_report(provenance.hyper_parameters.get(DATA_REPORT))
    given = [
        (key, value)
        for key, value in sorted(provenance.hyper_parameters.items())
        if value is not None and key != DATA_REPORT
    ]
    if given:
        shown, more = first(given, _MOST_HYPER_PARAMETERS, "hyper-parameters")
        show_heading("Hyper-parameters")
        show_pairs([(shortened(key, 60), shortened(value_text(value))) for key, value in shown])
        if more:
            say(more)


def value_text(value: JSON) -> str:
    """A recorded value in a line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=list)


def _no_parent(provenance: Provenance) -> str:
    return "unknown" if provenance.source else "none: trained from the base"


def _show_lines(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    shown, more = first(lines, _MOST_WARNINGS, "sentences")
    show_heading(title)
    show_pairs([("!", shortened(line, 1000)) for line in shown])
    if more:
        say(more)


def _show_moves(moves: Page[AliasMove]) -> None:
    if not moves.items:
        return
    count = len(moves.items)
    known = f"{count} or more" if moves.next_page_token else str(count)
    newest = "every one" if count <= _MOST_MOVES else f"the {_MOST_MOVES} newest of {known}"
    show_heading(f"Moves of this adapter's aliases, {newest}")
    show_moves(moves.items[:_MOST_MOVES])
    if count > _MOST_MOVES:
        say(f"… parfocal log {moves.items[0].name} shows them all")
