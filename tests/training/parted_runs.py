"""The same short runs of both papers' stages in one process and in several; spawned by `test_parts.py`."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import torch

from mien.adapters import preset_branch
from mien.core.io import write_json
from mien.data.corpus import Corpus
from mien.faces.networks import ExpressionEncoder
from mien.models.unet import build_unet
from mien.training.config import TrainConfig
from mien.training.export import save_branch
from mien.training.loop import fit
from mien.training.objective import ObjectiveConfig
from mien.training.objectives.alignment import AlignmentConfig
from mien.training.objectives.branch import BranchConfig
from mien.training.objectives.joint import JointConfig
from mien.training.sources import Sources
from mien.training.state import counters_of
from tests.synthetic import write_corpus

STEPS, BATCH = 3, 4
SMALL = {"block_out_channels": (32, 32, 32), "attention_head_dim": 1, "cross_attention_dim": 32}


def add_base(folder: Path) -> None:
    """To what `write_base` wrote, a UNet, the branches, and what EmojiDiff's stages read."""
    torch.manual_seed(1)
    unet = build_unet(**SMALL)
    unet.save_pretrained(folder / "unet")
    branches = {"landmarks": "landmarks", "emotion": "emotion", "expression": "expression",
                "expression_identity": "identity"}  # fmt: skip
    for file, kind in branches.items():
        branch = preset_branch(unet, "studio", kind, "parallel")
        for name, parameter in branch.named_parameters():
            if "to_v" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        save_branch(branch, folder, file)
    ExpressionEncoder().save_pretrained(folder / "expression_encoder")
    write_corpus(folder / "pairs", people=2, per_person=3, templates=True)


def options_of(kind: str) -> ObjectiveConfig:
    """Options of a stage: FaceCrafter's three, EmojiDiff's refined E-Adapter and its alignment."""
    companions = {"identity": "adapters/expression_identity.safetensors"}
    return {
        "branch": BranchConfig(kind="landmarks", prompts=(0.2, 0.5, 0.2, 0.1)),
        "emotion": BranchConfig(kind="emotion", prompts=(0.0, 0.7, 0.2, 0.1), same_pose=True),
        "joint": JointConfig(),
        "refined": BranchConfig(
            kind="expression", init="adapters/expression.safetensors", companions=companions, drop=0.1,
            prompts=(0.3, 0.3, 0.2, 0.2), templates=True,
        ),
        "alignment": AlignmentConfig(templates=True),
    }[kind]  # fmt: skip


def losses(base: Path, runs: Path, kind: str, accumulate: int, steps: int = STEPS) -> dict[str, float]:
    """What a run of few steps logs in the end, without rounding."""
    config = TrainConfig(
        name=kind, objective="none:none", pictures=steps * BATCH, global_batch=BATCH, accumulate=accumulate,
        warmup_images=0, lr=1e-3, precision="no", trackers=(),
    )  # fmt: skip
    options = options_of(kind)
    torch.manual_seed(config.seed)
    objective = options.build(Sources((base,)))
    data = base / ("pairs" if getattr(options, "templates", False) else "data")
    fit(config, objective, Corpus.load(data), runs / f"{kind}-{accumulate}")  # type: ignore[arg-type]
    found = counters_of(runs / f"{kind}-{accumulate}")
    return found["running"] if found is not None else {}


def process(rank: int, base: str, runs: str, kinds: tuple[str, ...], steps: int = STEPS) -> None:
    """One of two processes."""
    import torch.distributed as dist

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost")
    meet = f"file://{runs}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2, timeout=timedelta(seconds=120))
    folder = Path(runs) if rank == 0 else Path(runs) / "not-here"  # the other node sees another disk
    found = {}
    for kind in kinds:
        for accumulate in (1, 2):
            found[f"{kind} {accumulate}"] = losses(Path(base), folder, kind, accumulate, steps)
    if rank == 0:
        write_json(Path(runs) / "found.json", found)
    dist.destroy_process_group()
