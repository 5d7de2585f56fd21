"""Both recipes typed for real, on made-up raw data and tiny networks of the published layouts.

    python -m tests.rehearsal FOLDER [--short] [--paper facecrafter]

The commands are those of docs/recipe-facecrafter.md and docs/recipe-emojidiff.md. The same command goes on where it was
stopped. It needs the face kit (``MIEN_FACEKIT``) and MediaPipe's landmarker (in ``MIEN_ASSETS``, or got).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mien.errors import MienError
from mien.studio.kit import kit_file
from tests.rehearsal.made_up import SHORT, WHOLE, write_networks, write_raw
from tests.rehearsal.play import Rehearsal
from tests.rehearsal.recipe import PAGES


def main() -> int:
    """Everything; 1 where a command failed or did not prove what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--short", action="store_true", help="fewer and smaller pictures")
    parser.add_argument("--paper", choices=PAGES, action="append")
    asked = parser.parse_args()
    size, folder = SHORT if asked.short else WHOLE, asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_networks(folder / "assets", size.pixels)
        write_raw(folder, size, kit_file(None))
    except MienError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    papers = [Rehearsal(paper, folder) for paper in asked.paper or PAGES]
    right = all(paper.play() for paper in papers)
    sys.stdout.write("\n" + "".join(paper.table() for paper in papers))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
