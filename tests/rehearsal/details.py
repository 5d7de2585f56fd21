"""What is added to each command of the recipes, what is killed meanwhile, and what is proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.core.io import read_json
from mien.core.log import read_lines
from tests.rehearsal.shell import Shell
from tests.rehearsal.steps import (
    Detail,
    expect,
    finished,
    moved,
    same_dataset,
    same_files,
    same_weights,
    stages_possible,
    stock_picture,
    table,
)  # fmt: skip

_SIZE = "--size 128"
"""Of the pictures that the made-up bases draw, where the published ones draw 512."""
_RUN = "--set warmup_images=0 --set checkpoint_minutes=0 --set log_every=1 --set grid=1"
_BRANCH = f"--set pictures=32 --set global_batch=8 {_RUN}"
_JOINT = f"--set pictures=12 --set global_batch=4 {_RUN}"
_ON_8 = "torchrun --nproc-per-node 8 -m mien train"
_DRAWN = "--steps 6 --draws 20"


def _facecrafter(folder: Path) -> Any:
    """What the last block of the page draws, by our own pipeline."""
    import torch

    import mien

    ours = mien.load(str(folder / "facecrafter"))
    assert ours.reader is not None
    given = ours.reader(
        ours, prompt=None, identity=folder / "me.jpg", expression=folder / "friend.jpg", pose=None, emotion="happy"
    )
    noise = [torch.Generator().manual_seed(1)]
    conditions = {name: given[name] for name in ("identity", "landmarks", "emotion")}
    return ours(**conditions, generator=noise, num_inference_steps=25).images[0]


def _emojidiff(folder: Path) -> Any:
    import torch

    import mien
    from mien.diffusion.guidance import Difference, Guidance

    ours = mien.load(str(folder / "emojidiff"))
    assert ours.reader is not None
    given = ours.reader(
        ours, prompt="photo", identity=folder / "me.jpg", expression=folder / "friend.jpg", pose=None, emotion=None
    )
    both = frozenset({"text", "identity", "expression"})
    return ours(
        prompt="photo of a sailor", identity=given["identity"], expression=given["expression"],
        identity_mode="branch", scales={"identity": 1.0, "expression": 1.0}, num_inference_steps=50,
        guidance=Guidance((Difference("text", 7.5, both, frozenset()),)), generator=[torch.Generator().manual_seed(1)],
    ).images[0]  # fmt: skip


def _all_drawn(shell: Shell) -> str:
    rows = read_lines(shell.folder / "drawn" / "manifest.jsonl")
    expect(all(row["files"] for row in rows), f"requests without a picture: {[row['error'] for row in rows]}")
    return f"{len(rows)} pictures, none failed"


def _pairs(shell: Shell) -> str:
    """Those of the cluster against those of this process alone, made by the same command without Ray."""
    shards = same_files(shell.folder / "pairs", shell.folder / "pairs-here", ["shard-*.tar"])
    report = read_json(shell.folder / "pairs" / "report.json")
    return f"{report['pairs']} pairs of {report['attempts']} attempts, {shards} shards equal to those of one process"


DETAILS: dict[str, tuple[Detail, ...]] = {
    "facecrafter": (
        Detail("mien assets get", not_typed="the networks are made up, of few channels"),
        Detail("mien data import", _SIZE),
        Detail(
            "mien data import FFHQ --layout ffhq -o ffhq --base arc2face --reader mediapipe-torch+emonet --finish",
            _SIZE, same_dataset("ffhq", "ffhq-whole"), again=("-o ffhq", "-o ffhq-whole"), without="--finish",
        ),
        Detail("mien data join", anew=("mixed",)),
        Detail(
            "mien data check mixed",
            proof=stages_possible("mixed-check", ("landmark branch", "emotion branch", "joint stage")),
        ),
        Detail(f"{_ON_8} facecrafter-landmarks", _BRANCH, same_weights("arc2face/facecrafter-landmarks"), kill=True),
        Detail(f"{_ON_8} facecrafter-emotion", _BRANCH, same_weights("arc2face/facecrafter-emotion"), kill=True),
        Detail(f"{_ON_8} facecrafter-joint ", _JOINT, same_weights("arc2face/facecrafter-joint"), kill=True),
        Detail(f"{_ON_8} facecrafter-joint-no-ad", _JOINT, finished("arc2face/facecrafter-joint-no-ad")),
        Detail("mien data protocol celeba-2000", "--people 2 --targets 3", anew=("table1",)),
        Detail("mien data protocol ffhq-fid", "--people 8", anew=("fid",)),
        Detail("mien data protocol synth-500", "--people 3", anew=("table2-synth",)),
        Detail("mien data protocol agedb-500", "--people 2", anew=("table2-agedb",)),
        Detail("mien evaluate celeba-2000", _DRAWN, table("table1-report", "celeba-2000")),
        Detail("mien evaluate synth-500 --data table2", f"{_DRAWN} --target-count 2",
               table("table2-synth-report", "synth-500")),
        Detail("mien evaluate synth-500 --data table2-synth --model no-ad", f"{_DRAWN} --target-count 2",
               table("table3-report", "synth-500")),
        Detail("mien evaluate agedb-500", f"{_DRAWN} --target-count 2", table("table2-agedb-report", "agedb-500")),
        Detail("mien model assemble", anew=("facecrafter",)),
        Detail("mien generate", "--steps 6", proof=_all_drawn),
        Detail("python", proof=stock_picture("stock-facecrafter.png", _facecrafter)),
    ),
    "emojidiff": (
        Detail("mien assets get", not_typed="the networks are made up, of few channels"),
        Detail("mien data import", _SIZE),
        Detail("mien data check people", proof=stages_possible("people-check", ("E-Adapter", "pairs of IDI"))),
        Detail(f"{_ON_8} emojidiff-base", _BRANCH, finished("sd15/emojidiff-base")),
        Detail("ray start", not_typed="ray.cluster_utils starts three nodes"),
        Detail("export RAY_ADDRESS", not_typed="set for the next command alone"),
        Detail(
            "mien pairs build", "--steps 6 --targets 8 --batch 2 --exp 1 --lms 10 --identity 1", _pairs,
            again=("-o pairs", "-o pairs-here"), without="--executor ray", kill=True, anew=("pairs", "pairs-here"),
        ),
        Detail(
            f"{_ON_8} emojidiff-refined", _BRANCH,
            moved("sd15/emojidiff-refined", "adapters/expression.safetensors", "sd15/emojidiff-base"),
        ),
        Detail(
            f"{_ON_8} emojidiff-alignment", f"--set pictures=12 --set global_batch=4 {_RUN}",
            moved("sd15/emojidiff-alignment", "adapters/expression.safetensors", "sd15/emojidiff-refined"),
        ),
        Detail("mien data protocol emojidiff-grid", "--people 2 --targets 2", anew=("grid",)),
        Detail("mien evaluate emojidiff-grid", _DRAWN, table("grid-report", "emojidiff-grid")),
        Detail("mien model assemble", anew=("emojidiff",)),
        Detail("mien generate", "--steps 6"),
        Detail("mien model convert", "--base emojidiff"),  # by its name the published shape is meant
        Detail("python", proof=stock_picture("stock-emojidiff.png", _emojidiff)),
    ),
}  # fmt: skip
"""Paper -> what is special about commands of its page; the others are typed as they stand."""
