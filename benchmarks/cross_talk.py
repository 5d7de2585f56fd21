"""What each dial moves besides its own, of several models: disentanglement before and after joint training.

    python benchmarks/cross_talk.py before=lmk-emo-pretrained after=joint-lmk-emo

A SPEC is one that ``mien evaluate`` takes. Writes ``benchmarks/results/cross_talk.json``; pictures are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from result_files import write_result

from mien.cli.progress import bar
from mien.core.io import cache_folder
from mien.evaluation.control.crosstalk import cross_talk
from mien.evaluation.control.pictures import open_folder
from mien.evaluation.control.run import made_with_what
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.models import load_models
from mien.pipelines.spec import load_spec

RESULT = Path(__file__).parent / "results" / "cross_talk.json"
PEOPLE = 16


def main(models: dict[str, str]) -> None:
    """Draw, compare and write."""
    settings = ControlSettings(people=100, targets=20, cross_talk_people=PEOPLE, look_alikes=0)
    found = {}
    specs = {name: load_spec(spec) for name, spec in models.items()}
    for name, (own, tools) in load_models(specs, settings, None).items():
        place = open_folder(cache_folder() / "benchmarks" / "cross-talk", made_with_what(own, tools))
        found[name] = {"spec": models[name]} | cross_talk(own, tools, place, bar)
    write_result(RESULT, found)


if __name__ == "__main__":
    main(dict(word.split("=", 1) for word in sys.argv[1:]))
