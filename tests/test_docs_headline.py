"""The headline on the pages, from made-up numbers: measured or not, with the networks from outside or without."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mien.core.io import write_json
from mien.evaluation.control.baselines import DUMMIES
from mien.evaluation.control.headline import MEANINGS

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the scripts import from beside themselves
NEAR = {"shipped": 0.3, "exact": 1.1, "autoencoder": 1.0, "blank": 0.0, "mean-face": 0.1, "copy-template": 0.2,
        "copy-identity": 0.4}  # fmt: skip
MEASURED = ("nearness.expression", "nearness.pose", "identity.top1", "leak", "exp")


def made_up(measured: tuple[str, ...] = MEASURED, refused: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """A headline file."""

    def one(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 2000, "n_failed": 0}

    without = {"exp": ["copy-template"]} if refused is None else refused
    return {
        "measures": [name for name in MEANINGS if name not in without],
        "refused": without,
        "report_refused": without | {"transfer.mediapipe.exp": ["copy-template"]},
        "models": {name: {measure: one(value) for measure in measured} for name, value in NEAR.items()},
        "meanings": dict(MEANINGS),
        "dummies": dict(DUMMIES),
        "ceiling": "autoencoder",
        "settings": {"people": 100},
        "pairs": 2000,
        "made_by": {"command": "python benchmarks/headline.py --page /a/page --no-outside"},
    }


def test_results_begin_with_the_headline_what_is_refused_and_what_was_not_measured() -> None:
    from docs_headline import section  # type: ignore[import-not-found]

    text = "\n\n".join(section(made_up()))
    assert "`python benchmarks/headline.py --no-outside`" in text and "2000 pairs" in text
    head = next(line for line in text.splitlines() if line.startswith("| Model"))
    assert head == "| Model | nearness.expression | nearness.pose | identity.top1 | leak |"
    for name, value in NEAR.items():
        assert f"| {name} | {value:.3f} ({value - 0.05:.3f} to {value + 0.05:.3f}) |" in text
    assert "Not in the headline, because a dummy model is better than the exact render: exp (copy-template)." in text
    missing = next(line for line in text.splitlines() if line.startswith("Not measured: "))
    assert "outside.found" in missing and "nearness.gaze" in missing and "leak" not in missing
    assert "better than the exact render on: `transfer.mediapipe.exp`." in text

    whole = "\n\n".join(section(made_up(tuple(MEANINGS), refused={})))
    assert "Not measured" not in whole and "outside.emotion |" in whole
    assert "On no headline measure is a dummy model better" in whole


def test_pages_say_that_there_is_no_headline(tmp_path: Path) -> None:
    from docs_headline import UNMEASURED, metric_table, read_headline, section  # type: ignore[import-not-found]
    from docs_readme import content  # type: ignore[import-not-found]

    assert read_headline(tmp_path) is None
    assert UNMEASURED in section(None) and metric_table(None) == content(None) == UNMEASURED
    assert "benchmarks/results/headline.json" in UNMEASURED
    write_json(tmp_path / "headline.json", made_up())
    assert read_headline(tmp_path) == made_up()


def test_the_readme_shows_the_shipped_model_beside_the_exact_render_and_the_dummies() -> None:
    from docs_readme import content  # type: ignore[import-not-found]

    text = content(made_up())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0].split(" | ")[2:] == ["exact render", "blank", "mean-face", "copy-template", "copy-identity |"]
    assert rows[2] == "| expression: 52 blendshapes | 0.30 (0.25 to 0.35) | 1.10 | 0.00 | 0.10 | 0.20 | 0.40 |"
    assert rows[4].endswith("| - | - | - | - | - | - |")  # likeness was not measured
    assert len(rows) == 5 and "2,000 pictures" in text and "100 synthetic people" in text


def test_the_metrics_page_has_a_row_a_measure_and_a_column_a_model() -> None:
    from docs_headline import metric_table  # type: ignore[import-not-found]

    head, _, *rows = metric_table(made_up()).splitlines()
    assert head.startswith("| Measure | blank | mean-face | copy-template | copy-identity | exact | autoencoder | ship")
    assert [row.split(" | ")[0] for row in rows] == [f"| `{name}`" for name in MEASURED]
    assert rows[-1].endswith("| copy-template |") and rows[0].endswith("| - |")


def test_every_headline_measure_is_explained_on_the_metrics_page() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    by_hand = re.sub(r"<!-- table: .*?<!-- end of the table -->", "", text, flags=re.DOTALL)
    first = [line.split(" | ")[0] for line in by_hand.splitlines() if line.startswith("| `")]
    explained = {name for cell in first for name in re.findall("`([^`]+)`", cell)}
    assert set(MEANINGS) <= explained


def test_the_face_judge_names_what_it_cannot_see(tmp_path: Path) -> None:
    from docs_judges import judge_section  # type: ignore[import-not-found]

    read = {"jawOpen": 0.9, "mouthClose": 0.1, "browDown_L": 0.5, "jawLeft": -0.02}
    write_json(tmp_path / "judges" / "face" / "config.json", {"determination": read})
    write_json(tmp_path / "training.json", {"studio-judge-face": {"validation": {"r2": 0.61}}})
    _, told, rows = judge_section(tmp_path)
    assert "asked 0.75, measured 0.610: not reached" in told and "of 4 coefficients 2 are read" in told
    assert "No score counts the others: `mouthClose`, `jawLeft` (" in told
    assert "`jawOpen` | 0.90" in rows and "`mouthClose` (not counted) | 0.10" in rows
    write_json(tmp_path / "training.json", {"studio-judge-face": {"validation": {"r2": 0.76}}})
    assert "measured 0.760: reached" in judge_section(tmp_path)[1]
