"""From runs to the embedded model: collect the exports, write ``model_index.json``, check the size."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien.core.io import atomic_path, is_hidden, read_json, sha256_of, write_json
from mien.core.log import read_lines
from mien.errors import BadInput, MienError
from mien.training.presets import SHIPPED
from mien.training.proof import TRAINED

LIMIT = 85_000_000
# A library of ours must be the module that defines the class: diffusers looks for ModelMixin in it.
_INDEX = {
    "_class_name": "PortraitPipeline",
    "vae": ["mien.models.autoencoder", "StudioAutoencoder"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    # The E-Adapter of the same-picture stage moves little beside the landmarks and costs an evaluation a step.
    "scales": {"expression": 0.0},
    # Over the papers' 2.5 and 2, chosen by benchmarks/guidance.py.
    "guidance": {"identity": 3.5, "emotion": 3.0},
}
# The E-Adapter starts from the first and nobody samples with it; the second is for an identity that comes through the
# branch, and here it comes through the prompt.
# Not among what `mien train all` trains: the first needs another data set, pairs, and takes the place of the one it
# starts from; the second is drawn with it.
_REFINED = ("studio-e-adapter-exact", "studio-few-step")
_NOT_SHIPPED = ("image_prompt.safetensors", "expression_identity.safetensors")


def publish(
    runs: Path, folder: Path, limit: int = LIMIT, names: Iterable[str] = (*SHIPPED, *_REFINED)
) -> dict[str, Any]:
    """Copy what the presets' runs exported into ``folder`` (parts of runs that are absent stay as they are).

    Args:
        runs: folder of runs.
        folder: the embedded model, ``src/mien/assets/studio``.
        limit: largest size of all files in bytes.
        names: the presets whose runs are looked for, those that come later last.

    Returns:
        The ledger that is written to ``training.json``: for each preset its pictures, seconds, validation and settings.

    Raises:
        BadInput: if no run of ``runs`` has exported anything.
        MienError: if the result is larger than ``limit``.
    """
    exports = {name: runs / name / "export" for name in names if (runs / name / "export").is_dir()}
    if not exports:
        raise BadInput(
            f"There is no finished part of a model in {runs}: make them with mien train, or name their folder with "
            "--runs."
        )
    folder.mkdir(parents=True, exist_ok=True)
    ledger_path = folder / "training.json"
    ledger = read_json(ledger_path) if ledger_path.exists() else {}
    for name, export in exports.items():
        _merge(export, folder)
        ledger[name] = entry_of(runs / name)
    from mien.faces.networks import expression_encoder_type  # with it diffusers, which a wrong folder need not wait for

    index = dict(_INDEX)
    encoder = folder / "expression_encoder"
    kind = expression_encoder_type(encoder) if encoder.is_dir() else None
    index["expression_encoder"] = [None, None] if kind is None else [kind.__module__, kind.__name__]  # type: ignore[list-item]
    write_json(folder / "model_index.json", index | {"_diffusers_version": version("diffusers")})
    write_json(ledger_path, ledger)
    write_json(folder / "hashes.json", hashes(folder))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > limit:
        raise MienError(f"{folder} holds {size / 1e6:.1f} MB, more than {limit / 1e6:.0f}; make a part smaller.")
    return ledger


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every weight file, by its path in the folder."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*.safetensors"))}
    return {inside.as_posix(): sha256_of(path) for inside, path in found.items() if not is_hidden(inside)}


def _merge(export: Path, folder: Path) -> None:
    for path in sorted(export.rglob("*")):
        place = path.relative_to(export)
        if path.is_file() and path.name not in _NOT_SHIPPED and not is_hidden(place):
            target = folder / place
            with atomic_path(target) as temporary:
                shutil.copyfile(path, temporary)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    if scheduler.exists():
        # Trained with DDPM's schedule, sampled with a faster solver of the same schedule. Its steps begin at the last
        # timestep, which is nearest to the pure noise that they are given (Lin et al. 2024, arXiv 2305.08891).
        config = read_json(scheduler)
        config |= {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver++", "solver_order": 2,
                   "timestep_spacing": "trailing"}  # fmt: skip
        write_json(scheduler, config)


def entry_of(run: Path) -> dict[str, Any]:
    """What the ledger says of a run: pictures, seconds, the last validation, settings, and pictures of earlier runs.

    Under ``trained`` what shows that it trained (:func:`mien.training.proof.proof`).

    Under ``gpu`` the pictures and seconds, of this run and those before it, that were a GPU's.
    """
    last, validation, device = {}, {}, "cpu"
    for record in read_lines(run / "log.jsonl"):
        last, validation = record, record.get("validation", validation)
        device = record.get("device", device)
    started = read_json(run / "started.json") if (run / "started.json").exists() else {}
    spent = {"pictures": last["seen"], "seconds": last["seconds"]}
    if device == "cuda":
        before = started.get("gpu", {})
        started["gpu"] = {key: before.get(key, 0) + value for key, value in spent.items()}
    trained = {"trained": read_json(run / TRAINED)} if (run / TRAINED).exists() else {}
    return (
        started
        | trained
        | {
            **spent,
            "validation": validation,
            "config": read_json(run / "config.json"),
        }
    )
