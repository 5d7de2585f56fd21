"""The example workflows on a real ComfyUI, against the same requests in our pipeline.

    MIEN_COMFYUI=FOLDER MIEN_COMFYUI_PYTHON=PYTHON python benchmarks/comfyui_pictures.py

Starts ComfyUI (a checkout, and an interpreter with its requirements) headless on the CPU with small random models in
the published layouts, posts each workflow to its HTTP interface, and writes ``benchmarks/results/comfyui.json`` and the
table of docs/comfyui.md. Minutes on two cores, and 12 GB for SDXL's text encoders on both sides.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docs_parts import write_tables
from result_files import write_result

from mien.core.io import read_json
from mien.errors import BadInput
from mien.evaluation.report.tables import table
from mien.provenance.watermark import detect_watermark

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the server and the small models are those of the tests

from tests.comfyui.comparison import CFG, GUIDANCE, SIDE, STEPS, compared, embedded_picture, small_server  # noqa: E402
from tests.comfyui.server import where  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "comfyui.json"
BASES = {"sd15": "SD1.5", "sdxl": "SDXL"}


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    rows = [
        [BASES[one["base"]], f"`{one['workflow']}`", f"{one['largest']}", f"{one['mean']:.3f}", f"{one['moved']}"]
        for one in report["rows"]
    ]
    head = ["Layout", "workflow", "largest difference", "mean difference", "the branches move a pixel by up to"]
    size = " x ".join(map(str, report["embedded"]["size"]))
    mark = "with" if report["embedded"]["watermark"] else "WITHOUT"
    told = (
        f"ComfyUI {report['comfyui']} with torch {report['torch']}, headless on a CPU "
        f"([JSON](../benchmarks/results/comfyui.json)), {SIDE} px, {STEPS} steps of Euler, cfg {CFG:g}; levels of 255:"
        f"\n\n{table(head, rows).rstrip()}\n\nComfyUI cuts levels off where ours are rounded: that is a mean of one "
        f"half. The example with the embedded model gave a picture of {size} pixels {mark} its watermark."
    )
    return {ROOT / "docs" / "comfyui.md": ("benchmarks/comfyui_pictures.py", told)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=BASES, nargs="*", default=list(BASES))
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    asked = parser.parse_args()
    found = where()
    if found is None:
        raise SystemExit(str(BadInput("MIEN_COMFYUI names no checkout of ComfyUI: set it to its folder.")))
    report: dict[str, Any] = {"rows": []}
    for base in asked.base:
        with tempfile.TemporaryDirectory() as folder, small_server(*found, base, Path(folder)) as (server, pipeline):
            system = json.loads(server.get("/system_stats"))["system"]
            report |= {"comfyui": system["comfyui_version"], "torch": system["pytorch_version"]}
            for example in GUIDANCE:
                begun = time.monotonic()
                row = asdict(compared(server, pipeline, base, example))
                report["rows"].append(
                    {"base": base, "workflow": example, **row, "seconds": round(time.monotonic() - begun, 1)}
                )
                print(report["rows"][-1], file=sys.stderr, flush=True)  # noqa: T201
            if "embedded" not in report:
                picture = embedded_picture(server)
                report["embedded"] = {"size": picture.size, "watermark": detect_watermark(picture) is not None}
    write_result(asked.output, report)
    if asked.output == RESULT:
        write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    main()
