"""What the pages of results share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.core.io import read_json, write_text
from mien.errors import BadInput
from mien.evaluation.claims.catalogue import catalogue, catalogue_sha256
from mien.evaluation.report.tables import number, table

ROOT = Path(__file__).resolve().parents[1]
HASHES = ROOT / "src" / "mien" / "assets" / "studio" / "hashes.json"
RESULTS = ROOT / "benchmarks" / "results"
NO_WEIGHTS = ("claims", "mutants", "mutations", "soak", "rehearsal", "loader", "scaling", "costs", "comfyui")
"""Result files that measure no weights of ours: verdicts on the tables beside them, how damaged files are read, broken
equations, commands typed with made-up networks, and ComfyUI's pictures of random ones."""


def only(report: dict[str, Any], metrics: tuple[str, ...]) -> dict[str, Any]:
    """A report with these metrics alone, as far as it has them."""
    models = {
        name: one | {"metrics": {metric: one["metrics"][metric] for metric in metrics if metric in one["metrics"]}}
        for name, one in report["models"].items()
    }
    return report | {"models": models}


def claims_table(claims: list[dict[str, Any]]) -> str:
    """Claims with their verdicts and reasons, a row each."""
    rows = [
        [
            f"`{one['id']}`",
            one["statement"],
            " / ".join(f"{value:g}" for value in one["paper"] or ()) or "-",
            " / ".join(short(value) for name, value in one["studio"].items() if name not in ("metric", "seeds")) or "-",
            _effect(one),
            one["verdict"],
            one["reason"],
        ]
        for one in claims
    ]
    head = ["Claim ([JSON](../benchmarks/results/claims.json))", "what it says", "paper", "studio", "effect", "",
            "because"]  # fmt: skip
    return table(head, rows)


def _effect(claim: dict[str, Any]) -> str:
    if claim["effect"] is None:
        return "-"
    return f"{short(claim['effect'])} ({short(claim['low'])} to {short(claim['high'])})"


def claims_summary(claims: list[dict[str, Any]]) -> str:
    """How many claims have which verdict, and which file of claims and margins they were tested by."""
    counts = Counter(row["verdict"] for row in claims)
    return (
        f"Of {len(claims)} claims {counts['held']} are held, {counts['not held']} not held and {counts['not tested']} "
        "not tested. Claims, margins and what counts as a trained arm stand in one file, "
        f"`src/mien/evaluation/claims/papers.json`, last changed on {catalogue().frozen}, sha256 "
        f"`{catalogue_sha256()}`."
    )


def short(value: float | None) -> str:
    """Three figures."""
    return "-" if value is None else f"{value:.3g}"


def by_model(report: dict[str, Any], metrics: tuple[str, ...]) -> str:
    """One row a model, and what no control, the exact render and a copy of the template score.

    Args:
        report: of many models.
        metrics: the columns, as far as the report has them.
    """
    every = next(iter(report["models"].values()))["metrics"]
    columns = [name for name in metrics if name in every]
    rows = [[name, *(number(one["metrics"][key]) for key in columns)] for name, one in report["models"].items()]
    levels = {
        "no control": {key: every[key].get("floor") for key in columns},
        "the renderer": {key: every[key].get("ceiling") for key in columns},
        "a copy of the template": copy_scores(every, columns),
    }
    for label, found in levels.items():
        if any(value is not None for value in found.values()):
            rows.append([label, *("-" if value is None else f"{value:.3f}" for value in found.values())])
    return table(["Model", *columns], rows)


def by_headline(report: dict[str, Any], measures: tuple[str, ...]) -> str:
    """One row a model of the headline: the models, the exact render, the autoencoder and the dummy models.

    Args:
        report: of many models.
        measures: the columns, as far as the headline has them and no dummy model won them.
    """
    headline = report["headline"]
    columns = [name for name in measures if name in headline["measures"]]
    rows = [[name, *(number(found[key]) for key in columns)] for name, found in headline["models"].items()]
    return table(["Model", *columns], rows)


def copy_scores(metrics: Mapping[str, Mapping[str, Any]], columns: list[str]) -> dict[str, float | None]:
    """What a copy of the template scores on Exp and LMS and on their transfers, which compare with its own reading.

    Its distance is 0, so its transfer is floor / (floor - ceiling) of the distance.

    Args:
        metrics: all metrics of a report with their ``floor`` and ``ceiling``.
        columns: those that are shown; without a transfer among them nothing is said.
    """
    if not any(name.startswith("transfer.") for name in columns):
        return {}
    found: dict[str, float | None] = dict.fromkeys(columns)
    for name in columns:
        distance = name.removeprefix("transfer.")
        if not distance.endswith((".exp", ".lms")):
            continue
        floor, ceiling = (metrics.get(distance, {}).get(end) for end in ("floor", "ceiling"))
        if distance == name:
            found[name] = 0.0
        elif floor is not None and ceiling is not None and floor > ceiling:
            found[name] = floor / (floor - ceiling)
    return found


def with_table(text: str, source: str, content: str) -> str:
    """A page's text with one table written anew: the one that ``source`` is said to write, up to its end mark."""
    begin, end = f"<!-- table: written by {source} -->\n", "<!-- end of the table -->\n"
    before, rest = text.split(begin)
    return before + begin + content.rstrip() + "\n" + end + rest.split(end, 1)[1]


def write_tables(tables: dict[Path, tuple[str, str]]) -> None:
    """Write the tables of some pages anew: page -> what is said to write the table, table."""
    for page, told in tables.items():
        write_text(page, with_stale_note(with_table(page.read_text(encoding="utf-8"), *told)))


def check_models(*folders: Path) -> None:
    """Refuse folders that hold no model.

    Raises:
        BadInput: for the first.
    """
    for folder in folders:
        if not (folder / "model_index.json").is_file():
            raise BadInput(f"{folder} holds no model_index.json: give a model folder.")


def stale_note(reports: Mapping[str, Any], hashes: Path = HASHES) -> str:
    """What a page says first whose numbers were not taken with the weights, judges and readers that ship.

    Args:
        reports: name of a result file -> its JSON, None where there is no such file.
        hashes: sha256 of what ships, by its place in the model folder.

    Returns:
        A paragraph, or nothing. A part is the one that ships if any model of the report used it; files that hold no
        hashes are named too.
    """
    ships = read_json(hashes)
    stale: dict[str, list[str]] = {}
    unknown = []
    for name, report in reports.items():
        used = _hashes_in(report)
        parts = [part for part, digests in used.items() if part in ships and ships[part] not in digests]
        if parts:
            stale.setdefault(", ".join(sorted({_part(part) for part in parts})), []).append(f"`{name}.json`")
        elif report is not None and not used.keys() & ships.keys():
            unknown.append(f"`{name}.json`")
    absent = [f"`{name}.json`" for name, report in reports.items() if report is None]
    others = "; ".join(f"{', '.join(files)} ({parts})" for parts, files in stale.items())
    told = [f"Not measured on the weights that ship: {others}."] if stale else []
    told += [f"Without hashes of the weights they were measured on: {', '.join(unknown)}."] if unknown else []
    told += [f"Not measured yet: {', '.join(absent)}."] if absent else []
    return f"> {' '.join(told)}" if told else ""


NOTE_MARK = " <!-- written by benchmarks/docs_stale.py -->"


def with_stale_note(text: str, results: Path = RESULTS, hashes: Path = HASHES) -> str:
    """A page's text with `stale_note` on the result files that it cites as its first line, or without that line.

    Args:
        text: the page, with such a line or without.
        results: folder of the result files.
        hashes: see `stale_note`.
    """
    first, _, rest = text.partition("\n\n")
    body = rest if first.endswith(NOTE_MARK) else text
    reports = {name: read_json(file) if (file := results / f"{name}.json").is_file() else None
               for name in cited(body, results)}  # fmt: skip
    note = stale_note(reports, hashes)
    return f"{note}{NOTE_MARK}\n\n{body}" if note else body


def cited(text: str, results: Path = RESULTS) -> list[str]:
    """Names of the result files that a page names, or has a table of: a script's file has the script's name."""
    scripts = re.findall(r"<!-- table: written by benchmarks/(\w+)\.py", text)
    named = re.findall(r"benchmarks/results/(\w+)\.json", text)
    named += [name for name in scripts if (results / f"{name}.json").is_file()]
    return [name for name in dict.fromkeys(named) if name not in NO_WEIGHTS]


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
