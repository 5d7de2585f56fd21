"""What a teacher draws for a few-step student: its latents at the student's timesteps, kept on disk.

Every trajectory is one picture of `PortraitPipeline`, guided as the base is, under a random subset of the conditions
(the mixed conditioning of training), so that whatever a user asks for later has been seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.caches import read_arrays, write_arrays
from mien.core.pixels import pictures_to_tensor
from mien.training.prompts import WORDED, Kind

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline
    from mien.training.examples import Examples

GROUP = 20
"""Trajectories that are drawn together: one setting of the conditions, one call of the pipeline, one file."""


class Setting(NamedTuple):
    """The conditions of a group of trajectories.

    Attributes:
        prompt: of `Kind`.
        by_branch: the identity comes through its branch, where the prompt does not hold it.
        conditions: the other branches that take part.
    """

    prompt: int
    by_branch: bool
    conditions: tuple[str, ...]


class Trajectories(NamedTuple):
    """T trajectories.

    Attributes:
        latents: float16 [T, S + 1, C, h, w], from noise to the end.
        rows: the picture that conditions and caption come from, [T].
        other: the picture of the same person that the identity comes from, [T].
        prompt: of `Kind`, [T].
        present: branch -> bool [T].
    """

    latents: Tensor
    rows: Tensor
    other: Tensor
    prompt: Tensor
    present: dict[str, Tensor]


def draw_setting(rng: np.random.Generator, prompts: np.ndarray, probabilities: Mapping[str, float]) -> Setting:
    """A random setting that asks for something.

    Args:
        rng: the source of chance.
        prompts: probabilities of the kinds of prompt.
        probabilities: branch -> probability that it takes part; ``identity`` only where the prompt does not hold the
            face.
    """
    while True:
        prompt = int(rng.choice(4, p=prompts))
        there = {name: bool(rng.random() < share) for name, share in probabilities.items()}
        by_branch = there.pop("identity", False) and prompt in (Kind.CAPTION, Kind.EMPTY)
        found = Setting(prompt, by_branch, tuple(name for name, here in there.items() if here))
        if prompt != Kind.EMPTY or by_branch or found.conditions:
            return found


def asked(examples: Examples, setting: Setting, rows: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The arguments of the pipeline for pictures ``rows`` [B] of one setting."""
    found: dict[str, Any] = {name: examples.condition(name, rows, other) for name in setting.conditions}
    if "landmarks" in found:
        found["landmarks"] = pictures_to_tensor(found["landmarks"])
    if setting.prompt in WORDED:
        found["prompt"] = [examples.corpus.captions[row] for row in rows]
    if setting.by_branch or setting.prompt in (Kind.IDENTITY, Kind.BOTH):
        found["identity"] = examples.condition("identity", rows, other)
    return found | {"identity_mode": "branch" if setting.by_branch else "prompt"}


def draw(pipeline: PortraitPipeline, arguments: Mapping[str, Any], seeds: Sequence[int], steps: int) -> Tensor:
    """Latents [B, S + 1, C, h, w] of one call: the noise, and what each step led to.

    Args:
        pipeline: the teacher, with its scheduler.
        arguments: see :func:`asked`.
        seeds: B, one a picture.
        steps: S.
    """
    kept: list[Tensor] = []

    def keep(_pipeline: object, _index: int, _timestep: object, values: dict[str, Tensor]) -> dict[str, Tensor]:
        kept.append(values["latents"])
        return values

    side, channels = pipeline.unet.config.sample_size, pipeline.unet.config.in_channels
    noise = torch.cat(
        [torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    pipeline(
        **arguments, latents=noise, num_inference_steps=steps, output_type="latent",
        scales={name: 1.0 for name in arguments if name in ("landmarks", "expression", "emotion", "identity")},
        callback_on_step_end=keep,
    )  # fmt: skip
    return torch.stack([noise, *(one.cpu() for one in kept)], 1)


def weights_digest(network: nn.Module) -> str:
    """sha256 of a network's weights, by name and value; a LoRA that it holds is not looked at."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        if ".lora_" not in name:
            digest.update(name.replace(".base_layer", "").encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def kept_groups(
    folder: Path, count: int, make: Callable[[int], Trajectories], advance: Callable[[int], object] = lambda _: None
) -> Iterator[Trajectories]:
    """Groups of trajectories, each made where its file is not in the folder or damaged: an interrupted run goes on.

    Args:
        folder: where they are kept, one file a group.
        count: number of groups.
        make: the group of a number.
        advance: called with the number of groups that are there.
    """
    for number in range(count):
        file = folder / f"{number:05d}.safetensors"
        group = _read(file)
        if group is None:
            group = make(number)
            _write(file, group)
        yield group
        advance(number + 1)


def joined(groups: Sequence[Trajectories]) -> Trajectories:
    """All groups as one."""
    return Trajectories(
        latents=torch.cat([group.latents for group in groups]),
        rows=torch.cat([group.rows for group in groups]),
        other=torch.cat([group.other for group in groups]),
        prompt=torch.cat([group.prompt for group in groups]),
        present={name: torch.cat([group.present[name] for group in groups]) for name in groups[0].present},
    )


def _write(file: Path, group: Trajectories) -> None:
    tensors = {name: value for name, value in group._asdict().items() if name != "present"}
    tensors |= {f"present.{name}": value for name, value in group.present.items()}
    write_arrays(file, {name: value.numpy() for name, value in tensors.items()}, {})


def _read(file: Path) -> Trajectories | None:
    """The group in a file; None where there is none or it is damaged."""
    kept = read_arrays(file, older=True)
    if kept is None:
        return None
    tensors = {name: torch.from_numpy(array) for name, array in kept.arrays.items()}
    present = {
        name.removeprefix("present."): tensors.pop(name) for name in list(tensors) if name.startswith("present.")
    }
    return Trajectories(**tensors, present=present)
