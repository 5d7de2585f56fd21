"""What the pages of results share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.core.io import read_json, write_text
from mien.errors import BadInput
from mien.evaluation.report.tables import number, table

HASHES = Path(__file__).resolve().parents[1] / "src" / "mien" / "assets" / "studio" / "hashes.json"


def only(report: dict[str, Any], metrics: tuple[str, ...]) -> dict[str, Any]:
    """A report with these metrics alone, as far as it has them."""
    models = {
        name: one | {"metrics": {metric: one["metrics"][metric] for metric in metrics if metric in one["metrics"]}}
        for name, one in report["models"].items()
    }
    return report | {"models": models}


def claims_table(claims: list[dict[str, Any]]) -> str:
    """Claims, held or not, a row each."""
    rows = [
        [
            f"`{one['id']}`",
            one["statement"],
            " / ".join(f"{value:g}" for value in one["paper"] or ()) or "-",
            " / ".join(short(value) for name, value in one["studio"].items() if name not in ("metric", "seeds")),
            f"{short(one['effect'])} ({short(one['low'])} to {short(one['high'])})",
            one.get("verdict", "holds" if one["holds"] else "does not hold"),
        ]
        for one in claims
    ]
    return table(["Claim ([JSON](../benchmarks/results/claims.json))", "what it says", "paper", "studio", "effect", ""],
                 rows)  # fmt: skip


def short(value: float | None) -> str:
    """Three figures."""
    return "-" if value is None else f"{value:.3g}"


def by_model(report: dict[str, Any]) -> str:
    """One row a model, and the levels of no control and of the exact render: the table of many models."""
    metrics = list(next(iter(report["models"].values()))["metrics"])
    rows = [[name, *(number(one["metrics"][key]) for key in metrics)] for name, one in report["models"].items()]
    first = next(iter(report["models"].values()))["metrics"]
    levels = {"no control": "floor", "the renderer": "ceiling"}
    for label, level in levels.items():
        found = [first[key].get(level) for key in metrics]
        if any(value is not None for value in found):
            rows.append([label, *("-" if value is None else f"{value:.3f}" for value in found)])
    return table(["Model", *metrics], rows)


def with_table(text: str, source: str, content: str) -> str:
    """A page's text with one table written anew: the one that ``source`` is said to write, up to its end mark."""
    begin, end = f"<!-- table: written by {source} -->\n", "<!-- end of the table -->\n"
    before, rest = text.split(begin)
    return before + begin + content.rstrip() + "\n" + end + rest.split(end, 1)[1]


def write_tables(tables: dict[Path, tuple[str, str]]) -> None:
    """Write the tables of some pages anew: page -> what is said to write the table, table."""
    for page, told in tables.items():
        write_text(page, with_table(page.read_text(encoding="utf-8"), *told))


def check_models(*folders: Path) -> None:
    """Refuse folders that hold no model.

    Raises:
        BadInput: for the first.
    """
    for folder in folders:
        if not (folder / "model_index.json").is_file():
            raise BadInput(f"{folder} holds no model_index.json: give a model folder.")


def stale_note(reports: Mapping[str, Any], hashes: Path = HASHES) -> list[str]:
    """The first line of a page whose numbers were not taken with the weights, judges and readers that ship.

    Args:
        reports: name of a result file -> its JSON.
        hashes: sha256 of what ships, by its place in the model folder.

    Returns:
        One paragraph, or nothing. A part is the one that ships if any model of the report used it; files that hold no
        hashes are named too.
    """
    ships = read_json(hashes)
    stale, unknown = [], []
    for name, report in reports.items():
        used = _hashes_in(report)
        parts = [part for part, digests in used.items() if part in ships and ships[part] not in digests]
        if parts:
            stale.append(f"`{name}.json` ({', '.join(sorted({_part(part) for part in parts}))})")
        elif not used.keys() & ships.keys():
            unknown.append(f"`{name}.json`")
    told = [f"Not measured on the weights that ship: {', '.join(stale)}."] if stale else []
    told += [f"Without hashes of the weights they were measured on: {', '.join(unknown)}."] if unknown else []
    return [f"> {' '.join(told)}"] if told else []


def _part(name: str) -> str:
    """Such as ``judges/face`` for a file's place in the model folder."""
    return name.removesuffix(".safetensors").removesuffix("/diffusion_pytorch_model").removesuffix("/model")


def _hashes_in(value: Any) -> dict[str, set[str]]:
    """Every name in a report that has a sha256 -> all of those."""
    found: dict[str, set[str]] = {}
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one):
            found.setdefault(str(key), set()).add(one)
        else:
            for name, digests in _hashes_in(one).items():
                found.setdefault(name, set()).update(digests)
    return found
