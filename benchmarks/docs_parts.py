"""What the pages of results share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.core.io import read_json, write_text
from mien.errors import BadInput
from mien.evaluation.report.tables import number, table

HASHES = Path(__file__).resolve().parents[1] / "src" / "mien" / "assets" / "studio" / "hashes.json"
UNET = "unet/diffusion_pytorch_model.safetensors"


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
            "holds" if one["holds"] else "does not hold",
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


def base_note(
    report: dict[str, Any], hashes: Path = HASHES, what: str = "the arms were not trained on it again"
) -> list[str]:
    """A paragraph that says so, and ``what`` was not done, where no model was drawn on the base that ships now."""
    used = {one["made_with"]["models"].get(UNET) for one in report["models"].values()} - {None}
    ships = read_json(hashes)[UNET]
    if not used or ships in used:
        return []
    names = ", ".join(f"`{digest[:12]}`" for digest in sorted(used))
    return [
        f"Drawn on an earlier base (sha256 of its UNet: {names}). The one that ships now (`{ships[:12]}`) has been "
        f"trained further; {what}."
    ]
