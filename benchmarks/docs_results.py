"""The page ``docs/results.md`` from the JSON in ``benchmarks/results/``: no number on it is written by hand.

python benchmarks/docs_results.py
"""

from __future__ import annotations

from typing import Any

from docs_headline import read_headline
from docs_headline import section as headline_section
from docs_judges import judge_section
from docs_parts import RESULTS, ROOT, short, with_stale_note
from docs_weights import section

from mien.core.io import read_json, write_text
from mien.evaluation.report.tables import markdown, table

PAGE = ROOT / "docs" / "results.md"


def page() -> str:
    """The whole page, as Markdown."""
    control, ledger = read_json(RESULTS / "control.json"), read_json(ROOT / "src/mien/assets/studio/training.json")
    parts = [
        "# What the embedded weights do",
        "Written by `python benchmarks/docs_results.py` from the JSON files in `benchmarks/results/`; every table "
        "names the command that measured it. How to read a nearness or a transfer, and what the judges are: "
        "[Metrics](metrics.md) and [benchmarks](../benchmarks/README.md).",
        *headline_section(read_headline()),
        "## Training so far",
        "`mien model publish` ([ledger](../src/mien/assets/studio/training.json)); the base's preset asks"
        " for 1,500,000.",
        _ledger(ledger),
        *judge_section(),
        *section(RESULTS),
        "## Control, identity and cross-talk",
        f"`python benchmarks/control.py {_arguments(control['settings'])}` "
        "([JSON](../benchmarks/results/control.json)).",
        markdown(control).strip(),
        "What each measure is:",
        "\n".join(f"- `{name}`: {text}" for name, text in control["meanings"].items()),
        "FaceCrafter's tables in the studio, against a ControlNet and against ablations, are on "
        "[a page of their own](facecrafter.md).",
        "## The demo",
        "`mien demo` ([JSON](../benchmarks/results/demo.json)).",
        _demo(read_json(RESULTS / "demo.json")),
    ]
    return with_stale_note("\n\n".join(parts) + "\n")


def _arguments(settings: dict[str, Any]) -> str:
    names = ("people", "targets", "pairs_per_person", "steps")
    told = [f"--{name.replace('_', '-')} {settings[name]}" for name in names if settings[name] is not None]
    told += ["--retarget"] if settings["retarget"] else []
    return " ".join([*told, f"--conditions {','.join(settings['conditions'])}"])


def _ledger(ledger: dict[str, Any]) -> str:
    rows, total, minutes = [], 0.0, 0.0
    for name, one in ledger.items():
        seen = one["pictures"] + (one.get("earlier_pictures") or 0)
        gpu = one.get("gpu", {"pictures": 0, "seconds": 0.0})
        hours = one["seconds"] / 3600 * (seen - gpu["pictures"]) / one["pictures"]
        total, minutes = total + hours, minutes + gpu["seconds"] / 60
        rows.append([f"`{name}`", f"{seen:,}", f"{gpu['pictures']:,}" if gpu["pictures"] else "-",
                     f"{one['seconds'] / 60:.0f}", f"{hours:.1f}", _gaps(one.get("validation") or {})])  # fmt: skip
    head = ["Preset", "pictures in all", "of these on a GPU", "minutes of the last run",
            "hours for the rest at its rate", "validation on held-out people"]  # fmt: skip
    cores = f"Together {total:.1f} hours of one or two processor cores and {minutes:.0f} minutes of one GPU."
    return f"{table(head, rows).rstrip()}\n\n{cores}"


def _gaps(validation: dict[str, float]) -> str:
    """What a conditioned stage's gap is, else the plain numbers."""
    gaps = [key.removesuffix("_900") for key in validation if key.endswith("right_900")]
    if not gaps:
        return ", ".join(f"{key} {value:.3g}" for key, value in validation.items())
    told = [
        f"{key.removesuffix('right').strip('_') or 'condition'} {validation[f'{key}_900']:.3f} / "
        f"{validation[key.replace('right', 'shuffled') + '_900']:.3f}"
        for key in gaps
    ]
    return "error at t = 900, right / shuffled: " + ", ".join(told)


def _demo(demo: dict[str, Any]) -> str:
    rows = [
        [
            one["title"],
            short(one["value"]),
            short(one["baseline"]),
            one["unit"],
            one["better"],
            str(one["pictures"]),
        ]
        for one in demo["metrics"].values()
    ]
    return table(["Measure", "value", "without control", "unit", "better", "pictures"], rows)


if __name__ == "__main__":
    write_text(PAGE, page())
