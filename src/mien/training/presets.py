"""One preset a stage of the embedded models, in the order in which they are trained.

Budgets are in pictures. docs/studio-training.md says what each cost and reached.
"""

from __future__ import annotations

from typing import Any

from mien.errors import ConfigError, one_of
from mien.training.config import TrainConfig

_FACEID = {"identity": "adapters/faceid.safetensors"}
_OWN_IDENTITY = {"identity": "adapters/expression_identity.safetensors"}
_MODULES = ("studio-pretrained-landmarks", "studio-pretrained-emotion")
_SEEN = ("studio-autoencoder", "studio-identity")
BASE_NEEDS = (*_SEEN, "studio-base")
"""What makes the studio's base; on another, its own parts stand in their place.

Runs that a preset names before these went on from the base: what they exported takes the place of its parts.
"""

_FILES = {"identity": "faceid"}
_FEW_STEP = {"landmarks": 0.75, "emotion": 0.6, "expression": 0.2, "identity": 0.5}
"""Probabilities of the studio's branches in a trajectory; identity in prompts without the face."""

_FINE = {
    "block_out_channels": (32, 64, 96, 160), "output_shuffle": 2, "reduction": 2, "crop": 128, "max_noise": 0.3,
    "emphasis": 0.5, "square": 4.0, "fine": 0.3, "perceptual": 0.3, "adversarial": 1.0, "adversarial_start": 0.1,
}  # fmt: skip
"""Pictures of 256 px from latents of 128 px."""

_SHIPPED = [
    TrainConfig(name="studio-reader", objective="reader:ReaderObjective", pictures=600_000, global_batch=32, lr=1e-3,
                options={"size": 192, "widths": (64, 128, 224, 320), "hidden": 384, "basis": 100}),
    TrainConfig(name="studio-autoencoder", objective="autoencoder:AutoencoderObjective", pictures=100_000,
                depends_on=("studio-reader",), global_batch=16, lr=6e-4, warmup_images=2000, lr_decay_fraction=1.0,
                final_lr=0.02, betas=(0.5, 0.95), weight_decay=0.0, options=_FINE),
    TrainConfig(name="studio-identity", objective="identity:IdentityObjective", pictures=400_000, global_batch=128,
                lr=2e-3, lr_decay_fraction=0.7),
    TrainConfig(name="studio-text", objective="text:TextObjective", depends_on=_SEEN,
                pictures=600_000, global_batch=256, lr=1e-3, warmup_images=10_000),
    TrainConfig(name="studio-base", objective="base:BaseObjective", depends_on=(*_SEEN, "studio-text", "studio-reader"),
                pictures=1_500_000, global_batch=40, lr=7e-4, lr_decay_fraction=0.25,
                options={"branches": {"landmarks": 0.7, "emotion": 0.4}, "branch_prob_with_caption": 0.5,
                         "caption_readout": 0.3, "perceptual": (0.3, 3.0), "aux_loss_fraction": 0.2,
                         "emphasis": 2.0, "portraits": 0.85, "balance": 1.0,
                         "mixture": (0.22, 0.38, 0.3, 0.1)}),
    TrainConfig(name="studio-landmarks", objective="branch:BranchObjective", depends_on=BASE_NEEDS, pictures=120_000,
                lr=8e-4, options={"kind": "landmarks", "init": "adapters/landmarks.safetensors", "emphasis": 2.0,
                                  "prompts": (0.1, 0.5, 0.3, 0.1)}),
    TrainConfig(name="studio-emotion", objective="branch:BranchObjective", depends_on=BASE_NEEDS, pictures=40_000,
                lr=8e-4, options={"kind": "emotion", "init": "adapters/emotion.safetensors", "emphasis": 2.0,
                         "prompts": (0.0, 0.7, 0.2, 0.1), "same_pose": True}),
    TrainConfig(name="studio-faceid", objective="branch:BranchObjective", depends_on=BASE_NEEDS, pictures=60_000,
                lr=8e-4, options={"kind": "identity", "file": "faceid", "drop": 0.05, "prompts": (0.6, 0.0, 0.0, 0.4),
                         "portraits": 0.85}),
    TrainConfig(name="studio-expression-encoder", objective="expression:ExpressionObjective", pictures=300_000,
                global_batch=64, lr=1e-3),
    TrainConfig(name="studio-image-prompt", objective="branch:BranchObjective",
                depends_on=(*BASE_NEEDS, "studio-expression-encoder"), pictures=60_000, lr=1.5e-3,
                options={"kind": "expression", "file": "image_prompt", "drop": 0.05, "emphasis": 2.0,
                         "prompts": (0.5, 0.0, 0.0, 0.5)}),
    TrainConfig(name="studio-e-adapter", objective="branch:BranchObjective",
                depends_on=(*BASE_NEEDS, "studio-expression-encoder", "studio-faceid", "studio-image-prompt"),
                pictures=60_000, lr=1e-3,
                options={"kind": "expression", "init": "adapters/image_prompt.safetensors", "companions": _FACEID,
                         "drop": 0.05, "emphasis": 2.0, "prompts": (0.2, 0.4, 0.2, 0.2)}),
    TrainConfig(name="studio-detector", objective="detector:DetectorObjective", pictures=200_000, global_batch=64,
                lr=1e-3),
    TrainConfig(name="studio-judge-identity", objective="judges:JudgeIdentityObjective", pictures=300_000,
                global_batch=128, lr=2e-3, lr_decay_fraction=0.7, seed=7001),
    TrainConfig(name="studio-judge-face", objective="judges:JudgeFaceObjective", pictures=600_000, global_batch=64,
                lr=1e-3, seed=7002),
    TrainConfig(name="studio-judge-gaze", objective="judges:JudgeGazeObjective", pictures=300_000, global_batch=64,
                lr=1e-3, seed=7004),
    TrainConfig(name="studio-judge-attributes", objective="judges:JudgeAttributesObjective", pictures=150_000,
                global_batch=64, lr=1e-3, seed=7003),
]  # fmt: skip


def _joint(name: str, seed: int = 0, samples: int = 4, **options: Any) -> TrainConfig:
    """1,250 steps of so many samples, each replicated."""
    return TrainConfig(
        name=f"{name}-seed{seed}" if seed else name, objective="joint:JointObjective",
        depends_on=(*_MODULES, *BASE_NEEDS), pictures=1250 * samples, global_batch=samples, lr=2e-4, seed=seed,
        options={"replicas": 16, "emphasis": 2.0} | options,
    )  # fmt: skip


_INVERSIONS = tuple(
    (f"{kind}{'' if inversion == 'ani' else '-' + inversion}{f'-seed{seed}' if seed else ''}", seed, inversion, base)
    for kind, base in (("", ()), ("-epsilon", ("studio-epsilon",)))
    for inversion in ("ani", "none", "drop") for seed in (0, 1, 2)
)  # fmt: skip


def _refined(name: str, start: str, templates: bool = False, pictures: int = 10_000, lr: float = 5e-4) -> TrainConfig:
    return TrainConfig(
        name=name, objective="branch:BranchObjective", depends_on=(*BASE_NEEDS, "studio-expression-encoder", start),
        pictures=pictures, global_batch=16, lr=lr,
        options={"kind": "expression", "init": "adapters/expression.safetensors", "companions": _OWN_IDENTITY,
                 "drop": 0.05, "emphasis": 2.0, "prompts": (0.3, 0.3, 0.2, 0.2), "templates": templates},
    )  # fmt: skip


def _few_step(
    name: str,
    depends_on: tuple[str, ...],
    probabilities: dict[str, float],
    prompts: tuple[float, ...],
    files: dict[str, str],
) -> TrainConfig:
    """A base of full size: its own branches, 20,000 trajectories."""
    branches = {kind: files.get(kind, f"adapters/{kind}.safetensors") for kind in probabilities}
    return TrainConfig(
        name=name, objective="few_step:FewStepObjective",
        depends_on=(*depends_on, *BASE_NEEDS, "studio-expression-encoder"),
        pictures=200_000, global_batch=16, lr=1e-4, weight_decay=0.0,
        options={"branches": branches, "probabilities": probabilities, "prompts": prompts, "rank": 32,
                 "trajectories": 20_000},
    )  # fmt: skip


def _emojidiff(stage: str, objective: str, depends_on: tuple[str, ...], **settings: Any) -> TrainConfig:
    """EmojiDiff's settings (suppl. A.1): Adam, its rates and betas; budget and batch are *inferred*."""
    return TrainConfig(
        name=f"emojidiff-{stage}", objective=objective,
        depends_on=(*BASE_NEEDS, "studio-expression-encoder", *depends_on),
        global_batch=16, lr_decay_fraction=0.0, betas=(0.5, 0.999), weight_decay=0.0, **settings,
    )  # fmt: skip


_EXPRESSION: dict[str, Any] = {"kind": "expression", "multi_scale": True, "drop": 0.1, "prompts": (0.9, 0.0, 0.0, 0.1)}
"""Shares without the condition and without words as IP-Adapter trains (*inferred*)."""

_COMPARISONS = [
    # What an expression looks like on the mean face, read from a picture; not shipped yet.
    TrainConfig(name="studio-expression-reader", objective="distillation:DistillationObjective",
                depends_on=("studio-reader", "studio-landmarks", "studio-base"), pictures=400_000, global_batch=64,
                lr=1.5e-3),
    # Arms of one comparison: one frozen base, one budget. At 5e-4 the ControlNet learnt nothing (docs/facecrafter.md).
    TrainConfig(name="studio-controlnet", objective="controlnet:ControlNetObjective", depends_on=BASE_NEEDS,
                pictures=30_000, global_batch=16, lr=1.5e-3, options={"emphasis": 2.0, "prompts": (0.1, 0.5, 0.3,
                0.1)}),
    TrainConfig(name="studio-pretrained-landmarks", objective="branch:BranchObjective", depends_on=BASE_NEEDS,
                pictures=30_000, global_batch=16, lr=2e-3,
                options={"kind": "landmarks", "emphasis": 2.0, "prompts": (0.1, 0.5, 0.3, 0.1)}),
    TrainConfig(name="studio-pretrained-emotion", objective="branch:BranchObjective", depends_on=BASE_NEEDS,
                pictures=30_000, global_batch=16, lr=2e-3,
                options={"kind": "emotion", "emphasis": 2.0, "prompts": (0.0, 0.7, 0.2, 0.1), "same_pose": True}),
    # EmojiDiff: from the E-Adapter of the same pictures, as much more of it, or of pairs that IDI or the studio made;
    # from the refined one, as much more of that, or its fine-tuning at half the rate.
    _refined("studio-e-adapter-same", "studio-e-adapter"),
    _refined("studio-e-adapter-idi", "studio-e-adapter", templates=True),
    _refined("studio-e-adapter-exact", "studio-e-adapter", templates=True),
    _refined("studio-e-adapter-longer", "studio-e-adapter-exact", templates=True, pictures=4_000, lr=2.5e-4),
    # Few-step mode, with the branches that ship.
    TrainConfig(name="studio-few-step", objective="few_step:FewStepObjective", pictures=18_000, global_batch=32,
                lr=2e-3,
                weight_decay=0.0, depends_on=("studio-landmarks", "studio-emotion", *BASE_NEEDS, "studio-faceid",
                                         "studio-expression-encoder", "studio-e-adapter-exact", "studio-e-adapter"),
                options={"branches": {name: f"adapters/{_FILES.get(name, name)}.safetensors" for name in _FEW_STEP},
                         "probabilities": _FEW_STEP, "trajectories": 800, "written": 2, "emphasis": 1.0,
                         "prompts": (0.15, 0.4, 0.35, 0.1),
                         "portraits": 0.85}),
    # The sites of A.2, each from nothing beside the FaceID branch.
    *(TrainConfig(name=f"studio-site-{site}", objective="branch:BranchObjective", pictures=16_000, global_batch=16,
                  lr=1.5e-3, depends_on=(*BASE_NEEDS, "studio-expression-encoder", "studio-faceid"),
                  options={"kind": "expression", "companions": _FACEID, "drop": 0.05, "emphasis": 2.0, "site": site,
                           "prompts": (0.3, 0.3, 0.2, 0.2), "templates": True})
      for site in ("parallel", "serial", "self")),
    TrainConfig(name="studio-site-controlnet", objective="controlnet:ControlNetObjective", pictures=16_000,
                global_batch=16, lr=1.5e-3, depends_on=(*BASE_NEEDS, "studio-expression-encoder", "studio-faceid"),
                options={"kind": "expression", "companions": _FACEID, "drop": 0.05, "emphasis": 2.0,
                         "prompts": (0.3, 0.3, 0.2, 0.2), "templates": True}),
    # The base made to predict noise, as Stable Diffusion does: what ANI was made for.
    TrainConfig(name="studio-epsilon", objective="finetune:FineTuneObjective", depends_on=BASE_NEEDS, pictures=16_000,
                global_batch=16, lr=3e-4, options={"prediction_type": "epsilon", "prompts": (0.3, 0.3, 0.3, 0.1)}),
    *(TrainConfig(name=f"studio-alignment{suffix}", objective="alignment:AlignmentObjective", pictures=4_000,
                  global_batch=16, lr=2.5e-4, seed=seed, betas=(0.5, 0.999),
                  depends_on=(*base, *BASE_NEEDS, "studio-expression-encoder", "studio-e-adapter-exact",
                              "studio-reader"),
                  options={"emphasis": 2.0, "templates": True, "inversion": inversion})
      for suffix, seed, inversion, base in _INVERSIONS),
    # Other bases for the adapter as it is: one fine-tuned on restyled pictures, one with a LoRA of another style.
    TrainConfig(name="studio-restyled", objective="finetune:FineTuneObjective", depends_on=BASE_NEEDS, pictures=8_000,
                global_batch=16, lr=3e-4, options={"style": "cartoon", "prompts": (0.3, 0.3, 0.3, 0.1)}),
    TrainConfig(name="studio-lora", objective="finetune:FineTuneObjective", depends_on=BASE_NEEDS, pictures=8_000,
                global_batch=16, lr=2e-3, options={"style": "engraving", "rank": 16, "prompts": (0.3, 0.3, 0.3, 0.1)}),
    # The paper's settings (sec. 4.1), for --base arc2face and photographs; the rates are inferred.
    TrainConfig(name="facecrafter-landmarks", objective="branch:BranchObjective", depends_on=BASE_NEEDS,
                global_batch=16, pictures=1_600_000, lr=1e-4, lr_decay_fraction=0.0, betas=(0.9, 0.999),
                options={"kind": "landmarks", "prompts": (0.0, 0.9, 0.0, 0.1)}),
    TrainConfig(name="facecrafter-emotion", objective="branch:BranchObjective", depends_on=BASE_NEEDS, global_batch=16,
                pictures=1_600_000, lr=1e-4, lr_decay_fraction=0.0, betas=(0.9, 0.999),
                options={"kind": "emotion", "prompts": (0.0, 0.9, 0.0, 0.1), "same_pose": True}),
    *(TrainConfig(name=f"facecrafter-joint{suffix}", objective="joint:JointObjective", global_batch=16,
                  pictures=800_000, lr=1e-5, lr_decay_fraction=0.0, betas=(0.9, 0.999),
                  depends_on=("facecrafter-landmarks", "facecrafter-emotion", *BASE_NEEDS),
                  options={"replicas": 16, "ad": ad})
      for suffix, ad in (("", 5e-4), ("-no-ad", 0.0))),
    # EmojiDiff's settings, for --base sd15 or sdxl and photographs. The two branches of the first stage start from
    # IP-Adapter and IP-Adapter-FaceID, in the studio from its stand-ins.
    _emojidiff("base", "branch:BranchObjective", ("studio-faceid", "studio-image-prompt"), pictures=800_000, lr=2e-5,
               options=_EXPRESSION | {"init": "adapters/image_prompt.safetensors", "companions": _FACEID}),
    _emojidiff("refined", "branch:BranchObjective", ("emojidiff-base",), pictures=800_000, lr=2e-5,
               options=_EXPRESSION | {"init": "adapters/expression.safetensors", "companions": _OWN_IDENTITY,
                                      "templates": True}),
    _emojidiff("alignment", "alignment:AlignmentObjective", ("emojidiff-refined", "studio-reader"), pictures=160_000,
               lr=5e-6, options={"multi_scale": True, "templates": True}),
    # FaceCrafter's joint stage and its ablations; text-only sees as many rows of the UNet, each another picture.
    *(_joint("studio-joint", seed) for seed in (0, 1, 2)),
    *(_joint("studio-joint-no-ad", seed, ad=0.0) for seed in (0, 1, 2)),
    _joint("studio-joint-per-branch", reading="per_branch"),
    _joint("studio-joint-slow-text", text_rate=0.1),
    _joint("studio-joint-trained-null", null_prompt="trained"),
    _joint("studio-joint-text-only", samples=16, ad=0.0, replicas=4, probabilities=(1.0, 0.0, 0.0, 0.0)),
    # Few-step mode for other bases, from their branches; budgets are inferred. Write --set trajectories=... for more.
    _few_step("facecrafter-few-step", ("facecrafter-joint",), {"landmarks": 0.75, "emotion": 0.6},
              prompts=(0.0, 0.9, 0.0, 0.1), files={}),
    _few_step("emojidiff-few-step", ("emojidiff-alignment",), {"expression": 0.75, "identity": 0.9},
              prompts=(0.9, 0.0, 0.0, 0.1), files={"identity": "adapters/expression_identity.safetensors"}),
]  # fmt: skip

SHIPPED: dict[str, TrainConfig] = {config.name: config for config in _SHIPPED}
"""The stages of the embedded models."""

PRESETS: dict[str, TrainConfig] = SHIPPED | {config.name: config for config in _COMPARISONS}
"""Those, FaceCrafter's joint stage, and what is compared with it."""


def preset(name: str) -> TrainConfig:
    """A preset by name.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}{one_of(name, PRESETS)}.")
    return PRESETS[name]
