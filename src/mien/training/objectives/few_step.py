"""Distil a guided base to a few steps of one evaluation each: a LoRA that learns where its teacher's steps lead."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from mien.adapters.published import read_adapter
from mien.core.io import claim, read_json
from mien.core.modules import placed
from mien.diffusion.few_step import at, ddim_step, few_step_scheduler, landing_target, levels
from mien.diffusion.prediction import Prediction, prediction_type
from mien.pipelines.few_step import FILE, FewStep, save_few_step, truncated, widened
from mien.pipelines.request import DEFAULT_GUIDANCE
from mien.training.bases import base_autoencoder
from mien.training.branch_set import BranchSet
from mien.training.diffusion import weighted_mse
from mien.training.examples import Examples
from mien.training.frozen_base import FrozenBase, FrozenBaseConfig, Prompts
from mien.training.objective import Logs, Objective
from mien.training.prompts import Kind
from mien.training.sources import Sources
from mien.training.trajectories import (
    GROUP,
    Trajectories,
    asked,
    draw,
    draw_setting,
    joined,
    kept_groups,
    weights_digest,
)

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.pipelines.portrait import PortraitPipeline

LAYERS = (
    r".*\.(to_q|to_k|to_v|to_out\.0|proj_in|proj_out|ff\.net\.0\.proj|ff\.net\.2|conv1|conv2|conv_shortcut|conv"
    r"|time_emb_proj)"
)
"""Every linear and convolutional layer of the blocks, as LCM-LoRA takes them (Luo et al. 2023, arXiv 2311.05556)."""


class FewStepConfig(FrozenBaseConfig):
    """Options of :class:`FewStepObjective`.

    Attributes:
        branches: name -> adapter file, named as ``init`` of `BranchConfig` is.
        probabilities: branch -> probability that it takes part in a trajectory; ``identity`` in prompts that do not
            hold the face.
        prompts: probabilities of the kinds of prompt (:class:`Kind`).
        steps: of the student.
        teacher: its number of steps, a multiple of ``steps``.
        trajectories: how many are drawn.
        rank: of the LoRA.
        written: rank that is left of each layer in the file; all of it when None.
        layers: regular expression of the layers that have one.
        own: share of the rows that start where the student's own step led.
        guidance: weights that are baked in, over those of the base (``model_index.json``) and the defaults.
    """

    former_names: ClassVar[Mapping[str, str]] = {"odds": "probabilities"}

    branches: dict[str, str]
    probabilities: dict[str, float]
    prompts: Prompts = (0.1, 0.5, 0.3, 0.1)
    steps: int = Field(default=6, ge=1)
    teacher: int = 12
    trajectories: int = 1000
    rank: int = 4
    written: int | None = None
    layers: str = LAYERS
    own: float = 0.5
    guidance: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _teacher_meets_student(self) -> Self:
        if self.teacher < self.steps or self.teacher % self.steps:
            raise ValueError(
                f"teacher={self.teacher} is no multiple of steps={self.steps}, so that the student would never come to "
                f"the teacher's end: set teacher={2 * self.steps}, or other steps"
            )
        return self

    def build(self, sources: Sources) -> FewStepObjective:
        """See the base class."""
        return FewStepObjective(sources, self)


class FewStepObjective(Objective):
    """Guidance and steps distilled together, from trajectories that the guided base draws once.

    The teacher is the pipeline with all evaluations of Eq. 6 and a second-order solver of several steps for each of the
    student's. The student makes one evaluation with every condition (guidance distillation: Meng et al. 2023, arXiv
    2210.03142), and its output is held against the one whose DDIM step lands on the teacher's next point
    (:func:`landing_target`; Salimans & Ho 2022). In a share of the rows it starts where its own step led instead of on
    the trajectory, and has to come back (*inferred*).

    Args:
        sources: where the base and its branches are.
        config: the options.

    Raises:
        ConfigError: when prepared, if the run's folder holds trajectories of other pictures, weights or settings.
    """

    config_type = FewStepConfig

    def __init__(self, sources: Sources, config: FewStepConfig) -> None:
        super().__init__()
        self.config = config
        self.base = FrozenBase(sources, config, tuple(config.branches))
        from peft import LoraConfig

        self.written = config.rank if config.written is None else config.written
        self.teacher = config.teacher
        self.branch_set = BranchSet(self.base)
        for name, file in config.branches.items():
            branch = next(iter(read_adapter(sources.named(file), self.base.unet).values()))
            self.branch_set.modules[name] = branch.requires_grad_(False)
        self.unet, self.branches = self.base.unet, self.branch_set.modules
        weights = DEFAULT_GUIDANCE | _own_guidance(sources) | config.guidance
        self.few = FewStep(steps=config.steps, guidance=weights)
        self.solver = few_step_scheduler(self.base.scheduler.config)
        self.solver.set_timesteps(config.steps)
        self.predicts: Prediction = prediction_type(self.base.scheduler)
        self.unet.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.rank, target_modules=config.layers))

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """See the base class; the teacher draws the trajectories, where they are not in the run's folder."""
        base, config = self.base, self.config
        base.prepare(corpus)
        networks = {"unet": self.unet, "text_encoder": base.text_encoder, "text_encoder_2": base.text_encoder_2}
        networks |= dict(self.branches.items())
        self.weights = {name: weights_digest(one) for name, one in networks.items() if one is not None}
        self.paths = self._trajectories(base.examples, folder / "trajectories", -(-config.trajectories // GROUP), 0)
        self.injection = self.branch_set.inject()

    def _trajectories(self, examples: Examples, folder: Path, groups: int, seed: int) -> Trajectories:
        def make(number: int) -> Trajectories:
            rng = np.random.default_rng([seed, number])
            setting = draw_setting(rng, np.asarray(self.config.prompts), self.config.probabilities)
            rows = rng.integers(0, len(examples.corpus), GROUP)
            other = examples.corpus.same_person(rows, rng)
            other = examples.portrayed(rows, other, np.full(GROUP, setting.prompt), self.config.portraits, rng)
            seeds = rng.integers(2**62, size=GROUP).tolist()
            arguments = asked(examples, setting, rows, other)
            with torch.autocast(device, torch.bfloat16, enabled=fast):
                latents = draw(pipeline, arguments, seeds, self.teacher)
            there = {*setting.conditions, *(["identity"] if setting.by_branch else [])}
            return Trajectories(
                latents.half(), torch.from_numpy(rows), torch.from_numpy(other),
                torch.full((GROUP,), setting.prompt),
                {name: torch.full((GROUP,), name in there) for name in self.branches},
            )  # fmt: skip

        asked_for = {"teacher": self.teacher, "guidance": self.few.guidance, "seed": seed}
        asked_for["odds"] = dict(self.config.probabilities)  # the key of 0.1.0, whose trajectories are gone on with
        asked_for |= {"prompts": list(self.config.prompts), "data": examples.corpus.digest} | self.weights
        claim(folder / "asked.json", asked_for, "trajectories of other pictures, weights or settings")
        pipeline = self._pipeline()
        device = self.unet.device.type
        fast = device == "cuda" or torch.cpu._is_avx512_bf16_supported()
        self.unet.disable_adapters()
        try:
            return joined(list(kept_groups(folder, groups, make)))
        finally:
            self.unet.enable_adapters()

    def _pipeline(self) -> PortraitPipeline:
        """The pipeline that a user has, with every evaluation of its guidance and a solver of the second order."""
        from mien.pipelines import PortraitPipeline, PortraitXLPipeline

        base = self.base
        parts: dict[str, Any] = {
            "vae": placed(base_autoencoder(base.sources.path("vae")), device=self.unet.device),
            "text_encoder": base.text_encoder, "tokenizer": base.tokenizer, "unet": self.unet,
            "scheduler": few_step_scheduler(base.scheduler.config, order=2),
            "adapters": dict(self.branches.items()), "guidance": dict(self.few.guidance),
        }  # fmt: skip
        if base.text_encoder_2 is None or base.tokenizer_2 is None:
            pipeline: PortraitPipeline = PortraitPipeline(**parts)
        else:
            pipeline = PortraitXLPipeline(**parts, text_encoder_2=base.text_encoder_2, tokenizer_2=base.tokenizer_2)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random steps of random trajectories."""
        which = torch.from_numpy(rng.integers(0, len(self.paths.latents), size))
        step = torch.from_numpy(rng.integers(0, self.few.steps, size))
        strays = torch.from_numpy(rng.random(size) < self.config.own) & (step > 0)
        return self._gather(self.base.examples, self.paths, which) | {"step": step, "strays": strays}

    def _gather(self, examples: Examples, paths: Trajectories, which: Tensor) -> dict[str, Tensor]:
        """Trajectories ``which`` [B] of ``paths``, with everything that their pictures were asked for with."""
        rows, other = paths.rows[which].numpy(), paths.other[which].numpy()
        found = examples.batch(rows, other, paths.prompt[which].numpy())
        found["said"] = paths.prompt[which] != Kind.EMPTY
        found["path"] = paths.latents[which][:, :: self.teacher // self.few.steps].float()
        for name in self.branches:
            found |= {name: examples.condition(name, rows, other), f"has_{name}": paths.present[name][which]}
        return found

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class; errors are of the UNet's output, all steps alike."""
        step, path, index = batch["step"], batch["path"], torch.arange(len(batch["step"]))
        start, end = path[index, step], path[index, step + 1]
        strays = batch["strays"].nonzero()[:, 0]
        if len(strays):
            some = {name: value[strays] for name, value in batch.items()}
            with torch.no_grad():
                start[strays] = self.step(some, path[strays, step[strays] - 1], step[strays] - 1)
        target = landing_target(start, end, *self._levels(step), self.predicts)
        places = 1 + self.config.emphasis * batch["places"]
        error = self.predict(batch, start, self.solver.timesteps.to(step.device)[step])
        return weighted_mse(error, target, places / places.mean()), {}

    def step(self, batch: dict[str, Tensor], start: Tensor, step: Tensor) -> Tensor:
        """Where the student's own steps ``step`` [B] lead from ``start`` [B, C, h, w]."""
        output = self.predict(batch, start, self.solver.timesteps.to(step.device)[step])
        return ddim_step(output.float(), start, *self._levels(step), self.predicts)

    def _levels(self, step: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        a, s = levels(self.solver)
        return (at(a, step), at(s, step)), (at(a, step + 1), at(s, step + 1))

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The student's one evaluation, with every condition of a row."""
        with torch.no_grad():  # branches are frozen
            tokens = {name: self.branch_set[name].encode(batch[name]) for name in self.branches}
        plan = self.injection.condition(tokens, present={name: batch[f"has_{name}"] for name in self.branches})
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, cross_attention_kwargs=plan, **self.unet_kwargs(batch)).sample

    def unet_kwargs(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        """Arguments of the UNet as `PortraitXLPipeline` gives them to SDXL: zeros for no prompt, the size drawn."""
        found = self.base.unet_kwargs(batch)
        if (added := found.get("added_cond_kwargs")) is None:
            return found
        said = batch["said"][:, None].float()
        sizes = torch.cat([added["time_ids"][:, 4:], added["time_ids"][:, 2:]], 1)
        return {
            "encoder_hidden_states": found["encoder_hidden_states"] * said[:, None],
            "added_cond_kwargs": {"text_embeds": added["text_embeds"] * said, "time_ids": sizes},
        }

    @torch.no_grad()
    def validate(self, corpus: Corpus) -> Logs:
        """On people never trained on: how far the student ends from its teacher, with the same noise.

        ``end`` is |student - teacher| / |teacher|; ``landing_I`` the squared error of the output at step I of the
        teacher's trajectory.
        """
        if corpus.held_out is None:
            return {}
        examples = self.base.examples_of(corpus.held_out)
        self.injection.eject()
        with tempfile.TemporaryDirectory() as folder:
            paths = self._trajectories(examples, Path(folder), 3, 1)
        self.injection.inject()
        batch = self._gather(examples, paths, torch.arange(len(paths.latents)))
        batch = {name: value.to(self.unet.device) for name, value in batch.items()}
        path = batch["path"]
        there = path[:, 0]
        logs = {}
        for number in range(self.few.steps):
            step = torch.full((len(path),), number, device=path.device)
            target = landing_target(path[:, number], path[:, number + 1], *self._levels(step), self.predicts)
            output = self.predict(batch, path[:, number], self.solver.timesteps.to(path.device)[step])
            logs[f"landing_{number}"] = float((output.float() - target).pow(2).mean())
            there = self.step(batch, there, step)
        return logs | {"end": float((there - path[:, -1]).norm() / path[:, -1].norm())}

    def export(self, folder: Path) -> None:
        """``few_step.safetensors``: the LoRA, with what has to be known to draw with it."""
        from peft import get_peft_model_state_dict

        tensors = truncated(get_peft_model_state_dict(self.unet), self.written)
        save_few_step(folder / FILE, tensors, self.few)

    def start_from(self, folder: Path) -> None:
        """Take the LoRA of a model folder, which may be of a lower rank.

        Raises:
            ConfigError: if it does not fit.
        """
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        from mien.pipelines.few_step import read_few_step

        stored = read_few_step(folder / FILE)
        set_peft_model_state_dict(self.unet, widened(stored.tensors, get_peft_model_state_dict(self.unet)))


def _own_guidance(sources: Sources) -> dict[str, float]:
    """The weights that the base states in its ``model_index.json``."""
    for folder in sources.folders:
        if (folder / "model_index.json").is_file():
            return dict(read_json(folder / "model_index.json").get("guidance", {}))
    return {}
