"""The portrait pipeline: identity, landmarks, expression, emotion and text, any of them together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import ControlNetModel, DiffusionPipeline, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.loaders import FromSingleFileMixin, StableDiffusionLoraLoaderMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from mien.adapters.branch import Branch
from mien.adapters.injection import Injection
from mien.adapters.plan import BranchPlan
from mien.assets import embedded
from mien.diffusion.caching import STEPS, Caching, Speed, caching_of
from mien.diffusion.guidance import Guidance
from mien.errors import BadInput
from mien.models.text import encode_prompt
from mien.pipelines.adapters_folder import adapter_for, load_adapters, save_adapters
from mien.pipelines.autoencoders import decode_latents, vae_scale_factor
from mien.pipelines.controlnet import ControlledRows, controlled_rows
from mien.pipelines.features import branch_condition, with_picture
from mien.pipelines.few_step import FILE as FEW_STEP
from mien.pipelines.few_step import FewStepLora, in_few_steps, read_few_step, save_few_step
from mien.pipelines.hub import fetch_ours
from mien.pipelines.output import PortraitPipelineOutput
from mien.pipelines.redraw import Redraw
from mien.pipelines.request import (
    CONDITIONS,
    DEFAULT_GUIDANCE,
    Conditions,
    IdentityMode,
    build_guidance,
    check_identity_options,
    check_names,
    prepare_conditions,
    whole_guidance,
)
from mien.pipelines.rows import Generators, as_list, expand_masks, initial_noise, is_active, on_device, per_picture
from mien.pipelines.sampling import GuidedSteps, Rows
from mien.pipelines.text import Text, stacked

EMBEDDED = ("studio",)


class PortraitPipeline(DiffusionPipeline, StableDiffusionLoraLoaderMixin, FromSingleFileMixin):
    """Portraits under any subset of conditions, on a base shaped like Stable Diffusion 1.5.

    LoRA files are loaded as in diffusers, with ``load_lora_weights``; branches stand beside them.

    Args:
        vae: the studio's autoencoder or an ``AutoencoderKL``.
        text_encoder: a CLIP text model.
        tokenizer: its tokenizer.
        unet: the base model.
        scheduler: any diffusers scheduler; its ``prediction_type`` is that of the UNet.
        expression_encoder: face crops -> features for the expression branch; not needed when features are given.
        controlnet: reads the landmark picture in the place of a landmarks branch (the papers' comparison), or is told
            by the tokens of a branch of the site ``controlnet``.
        adapters: name -> branch.
        guidance: the base's own guidance weights, over :data:`DEFAULT_GUIDANCE`; stands in ``model_index.json``.
        scales: the base's own scales, likewise; 0 turns a branch off that is only used when it is asked for.
        identity_mode: where the base's identities go when a call does not say: see :meth:`__call__`.
    """

    model_cpu_offload_seq = "text_encoder->expression_encoder->unet->vae"
    _optional_components = ["expression_encoder", "controlnet"]  # noqa: RUF012 (diffusers declares a plain list)
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        vae: ModelMixin,
        text_encoder: nn.Module,
        tokenizer: Any,
        unet: UNet2DConditionModel,
        scheduler: SchedulerMixin,
        expression_encoder: nn.Module | None = None,
        controlnet: ControlNetModel | None = None,
        adapters: dict[str, Branch] | None = None,
        guidance: dict[str, float] | None = None,
        scales: dict[str, float] | None = None,
        identity_mode: str = "prompt",
    ) -> None:
        super().__init__()
        check_names("guidance", guidance or {}, tuple(DEFAULT_GUIDANCE))
        check_names("scales", scales or {}, CONDITIONS)
        self.register_to_config(guidance=dict(guidance or {}), scales=dict(scales or {}), identity_mode=identity_mode)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            expression_encoder=expression_encoder,
            controlnet=controlnet,
        )
        self._name_tokenizer("tokenizer")
        self.adapters: dict[str, Branch] = dict(adapters or {})
        # what the speed "few" draws with, where it does not lie in the folder
        self.few_step: FewStepLora | None = None
        # where the weights lie, for a picture's record: a folder of ours as a whole, and parts, by name, elsewhere
        self.folder: Path | None = None
        self.parts: dict[str, Path] = {}
        self.vae_scale_factor = vae_scale_factor(vae)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self._null_prompts: dict[str, Text] = {}

    def _name_tokenizer(self, part: str) -> None:
        """Register a tokenizer under the older name that transformers 4 and 5 both load."""
        if self.config[part][1] == "TokenizersBackend":  # transformers 5's own
            self.register_to_config(**{part: ("transformers", "PreTrainedTokenizerFast")})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load a pipeline, with the adapters in its ``adapters/`` folder.

        Args:
            pretrained_model_name_or_path: ``"studio"`` for the embedded weights, a folder, or a name on the hub. Of a
                model of ours there, all JSON, text and safetensors files are fetched.
            **kwargs: as for ``DiffusionPipeline.from_pretrained``; ``adapters`` replaces those of the folder;
                ``torch_dtype`` is float32 unless given.

        Raises:
            MissingAsset: if the embedded weights are not installed.
            OSError: if there is neither such a folder nor such a model on the hub.
        """
        # model_index.json names these two modules; diffusers finds a class only in a module that is already imported
        import mien.faces.networks.expression
        import mien.models.autoencoder  # noqa: F401

        name = str(pretrained_model_name_or_path)
        folder = embedded(name) if name in EMBEDDED else Path(name)
        if not folder.is_dir():
            folder = fetch_ours(name, kwargs) or folder
        adapters = kwargs.pop("adapters", None)
        # transformers keeps the precision of the file and diffusers does not: half-precision files would mix the two
        kwargs.setdefault("torch_dtype", torch.float32)
        pipeline = super().from_pretrained(folder if folder.is_dir() else name, **kwargs)
        if folder.is_dir():
            pipeline.folder = folder
            pipeline.adapters = load_adapters(folder, pipeline.unet.dtype)
        if adapters is not None:
            pipeline.adapters = dict(adapters)
        return pipeline

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save all components, each adapter to ``adapters/<name>.safetensors``, and what few-step mode draws with."""
        # first, because diffusers' own uploads the folder (push_to_hub) as soon as its components are in it
        save_adapters(Path(save_directory), self.adapters)
        if self.has_few_steps:
            lora = self.few_step_weights()
            save_few_step(Path(save_directory) / FEW_STEP, lora.tensors, lora.settings)
        super().save_pretrained(str(save_directory), **kwargs)

    @property
    def has_few_steps(self) -> bool:
        """Whether there is what the speed ``few`` draws with."""
        return self.few_step is not None or (self.folder is not None and (self.folder / FEW_STEP).is_file())

    def few_step_weights(self) -> FewStepLora:
        """What the speed ``few`` draws with, read once.

        Raises:
            MissingAsset: if this base has none.
            ConfigError: if its file cannot be read.
        """
        if self.few_step is None:
            self.few_step = read_few_step(None if self.folder is None else self.folder / FEW_STEP)
        return self.few_step

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the components and the adapters; arguments as for ``DiffusionPipeline.to``."""
        pipeline = super().to(*args, **kwargs)
        for branch in pipeline.adapters.values():
            nn.Module.to(branch, pipeline.unet.device, pipeline.unet.dtype)
        return pipeline

    def encode_null(self, prompt: str = "") -> Tensor:
        """Text states [1, L, D] of e(0), the empty prompt; computed once and kept.

        FaceCrafter's e(0) comes from the text encoder before it was trained (*inferred*): call this before loading
        trained text weights, and the kept states stay.
        """
        return self._null(prompt).states

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        identity: Tensor | None = None,
        landmarks: Tensor | None = None,
        expression: Tensor | None = None,
        emotion: Tensor | None = None,
        *,
        identity_picture: Tensor | None = None,
        identity_mode: IdentityMode | None = None,
        scales: Mapping[str, float | Tensor | Sequence[float]] | None = None,
        guidance: Mapping[str, float] | Guidance | None = None,
        guidance_rescale: float = 0.0,
        negative_prompt: str = "",
        masks: Mapping[str, Tensor] | None = None,
        steps: Mapping[str, tuple[float, float]] | None = None,
        image: Tensor | None = None,
        region: Tensor | None = None,
        strength: float = 0.6,
        num_inference_steps: int | None = None,
        speed: Speed | Caching = "exact",
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        latents: Tensor | None = None,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **base_options: Any,
    ) -> PortraitPipelineOutput | tuple[Any]:
        """Draw portraits. Each condition has one row, or one a picture; rows may be different people.

        Args:
            prompt: what the text says; with ``identity_mode="prompt"`` it may hold the word ``id`` where the face goes.
            identity: face embeddings [P, 512].
            landmarks: landmark pictures [P, 3, H, W] in [-1, 1].
            expression: face crops [P, 3, H, W] in [-1, 1], or features [P, N, F].
            emotion: [P, 10] = valence, arousal, eight probabilities.
            identity_picture: face crops [P, 3, H, W] in [-1, 1], for an identity branch that looks at them (FaceID
                Plus).
            identity_mode: ``"prompt"`` (Arc2Face) or ``"branch"`` (IP-Adapter-FaceID); the base's own when None.
            scales: condition -> scale of its branch, one number, one a row or one a picture; the base's own or 1 by
                default, 0 leaves it out. An identity in the prompt has no branch: for it see ``guidance``.
            guidance: condition or ``"text"`` -> guidance weight, over those of the base and
                :data:`DEFAULT_GUIDANCE`; or a whole :class:`Guidance`, in whose sets ``identity`` and ``text`` are one
                where the identity stands in the prompt.
            guidance_rescale: 0 to 1, against over-saturation.
            negative_prompt: prompt of the unconditional evaluation.
            masks: condition -> region [P, H, W] in [0, 1] in which its branch acts.
            steps: condition -> (start, end) fractions of the sampling during which its branch acts.
            image: pictures [P, 3, H, W] in [-1, 1] to change instead of drawing from noise alone (SDEdit).
            region: where they are changed, [P, H, W] in [0, 1]; everywhere when None.
            strength: how much, above 0 and up to 1: the share of the steps that is run.
            num_inference_steps: denoising steps; 25 when None, or those that ``"few"`` was distilled for.
            speed: ``"exact"``; ``"fast"``: most steps make one evaluation and leave the deep blocks out
                (:mod:`mien.diffusion.caching`); ``"few"``: a few steps of one evaluation, of a UNet distilled for it
                with its guidance inside (:mod:`mien.pipelines.few_step`); or a setting of one's own.
            num_images_per_prompt: pictures of each row.
            generator: one a picture (then a picture's noise depends on its own generator alone), or one for all.
            latents: initial noise [P, C, h, w] instead of drawn noise.
            height: of the pictures in pixels; the base's own when None.
            width: as ``height``.
            output_type: ``pil``, ``pt``, ``np`` or ``latent``.
            return_dict: False for a plain tuple.
            callback_on_step_end: called after each step with (pipeline, step, timestep, tensors).
            callback_on_step_end_tensor_inputs: which tensors it is given; only ``latents``.
            **base_options: what only some bases take: see :class:`mien.pipelines.PortraitXLPipeline`.

        Returns:
            The pictures, all of the first row first.

        Raises:
            BadInput: if a condition does not fit, or this base has no adapter for it.
            MissingAsset: if ``"few"`` is asked for and this base has no weights for it.
        """
        few = self.few_step_weights() if speed == "few" else None
        given = {"identity": identity, "landmarks": landmarks, "expression": expression, "emotion": emotion}
        scales, masks, steps = dict(scales or {}), dict(masks or {}), dict(steps or {})
        options: dict[str, dict[str, Any]] = {"scales": scales, "masks": masks, "steps": steps}
        for option, names in options.items():
            check_names(option, names, CONDITIONS)
        if set(callback_on_step_end_tensor_inputs) - set(self._callback_tensor_inputs):
            raise BadInput(f"A callback is given {', '.join(self._callback_tensor_inputs)} only.")
        conditions = prepare_conditions(
            prompt, given, identity_mode or self.config["identity_mode"], num_images_per_prompt
        )
        check_identity_options(conditions, options)
        scales = {**self.config["scales"], **scales}
        for name in [name for name in conditions.branches if not is_active(scales.get(name, 1.0))]:
            del conditions.branches[name]
        if few is not None:
            said = ["text"] if conditions.has_text else []
            asked = guidance, guidance_rescale, negative_prompt, num_inference_steps
            guide = few.settings.guide((*said, *conditions.branches), *asked)
        elif isinstance(guidance, Guidance):
            guide = whole_guidance(guidance, conditions)
        else:
            guide = build_guidance(conditions, guidance or {}, guidance_rescale, self.config["guidance"])
        controlled = self._controlled(conditions, scales, guide, {*masks, *steps})
        names = {kind: adapter_for(self.adapters, kind) for kind in conditions.branches}
        device = self._execution_device
        if "identity" in names:
            face = None if identity_picture is None else expand_masks(identity_picture, conditions.count, device)
            branch, own = self.adapters[names["identity"]], conditions.branches["identity"]
            conditions.branches["identity"] = with_picture(branch, self.expression_encoder, own, face)
        size = self._latent_size(*(image.shape[-2:] if image is not None else (height, width)))
        redraw = None
        if image is not None:
            with self._autoencoding():
                redraw = Redraw.of(self.vae, image.to(device), region, strength, conditions.count)
        latents = initial_noise((conditions.count, self.unet.config.in_channels, *size), latents, generator, device)
        text = self._text(conditions, guide, negative_prompt, device)
        added = self._added_conditions(text, size, **base_options)
        branches = {kind: self.adapters[name] for kind, name in names.items()}
        injection = Injection(self.unet, branches)
        with on_device(branches.values(), device):
            plan: BranchPlan = injection.condition(
                {name: self._tokens(one, conditions.branches[name], name).to(device) for name, one in branches.items()},
                {kind: per_picture(scales.get(kind, 1.0), conditions.count) for kind in names},
                masks={
                    kind: expand_masks(mask, conditions.count, device) for kind, mask in masks.items() if kind in names
                },
                evaluations=guide.evaluations(),
                steps={kind: span for kind, span in steps.items() if kind in names},
                grid=size,
            )["mien"]
        low_rank = [one for one in branches.values() if one.low_rank is not None]
        with in_few_steps(self, few), on_device(low_rank, device), injection:
            latents = self._denoise(
                latents,
                text.states,
                added,
                plan,
                guide,
                controlled,
                redraw,
                num_inference_steps or (STEPS if few is None else few.settings.steps),
                caching_of(speed),
                generator,
                callback_on_step_end,
            )
        images = self._finish(latents, output_type)
        self.maybe_free_model_hooks()
        return PortraitPipelineOutput(images=images) if return_dict else (images,)

    def _denoise(
        self,
        latents: Tensor,
        text: Tensor,
        added: dict[str, Any],
        plan: BranchPlan,
        guide: Guidance,
        controlled: ControlledRows | None,
        redraw: Redraw | None,
        count: int,
        caching: Caching,
        generator: Generators,
        callback: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None,
    ) -> Tensor:
        """The sampling loop: one UNet call a step; when exact, all evaluations of all pictures in one batch."""
        scheduler: Any = self.scheduler
        scheduler.set_timesteps(count, device=latents.device)
        noise = latents
        timesteps: Any = scheduler.timesteps
        if redraw is None:
            latents = latents * scheduler.init_noise_sigma
        else:
            latents, timesteps = redraw.begin(scheduler, noise)
        takes_generator = "generator" in inspect.signature(scheduler.step).parameters
        extra = {"generator": as_list(generator)} if takes_generator else {}
        rows = Rows(guide, len(latents))
        steps = GuidedSteps(self.unet, scheduler, rows, text, added, plan, controlled, caching, len(timesteps))
        with steps.shortcuts(), self.progress_bar(total=len(timesteps)) as bar:  # pyright: ignore[reportCallIssue]
            for index, timestep in enumerate(timesteps):
                guided = steps(latents, timestep, index)
                latents = scheduler.step(guided, timestep, latents, **extra).prev_sample
                if redraw is not None:
                    following = timesteps[index + 1] if index + 1 < len(timesteps) else None
                    latents = redraw.keep(scheduler, latents, noise, following)
                if callback is not None:
                    latents = callback(self, index, timestep, {"latents": latents}).pop("latents", latents)
                bar.update()
        return latents

    def _controlled(
        self,
        conditions: Conditions,
        scales: Mapping[str, float | Tensor | Sequence[float]],
        guide: Guidance,
        limited: set[str],
    ) -> ControlledRows | None:
        """Take what a ControlNet is told out of the branches: the landmark picture, or the tokens of a branch."""
        if self.controlnet is None:
            return None
        told = [name for name, branch in self.adapters.items() if branch.site == "controlnet"]
        kind = self.adapters[told[0]].kind if told else "landmarks"
        if kind not in conditions.branches:
            return None
        if kind in limited:
            raise BadInput(f"masks and steps need a {kind} branch; a ControlNet acts everywhere and all the time.")
        condition = conditions.branches.pop(kind)
        if told:
            condition = self._tokens(self.adapters[told[0]], condition, kind)
        scale = per_picture(scales.get(kind, 1.0), conditions.count)
        return controlled_rows(self.controlnet, kind, condition, scale, guide.evaluations())

    def _encode(self, prompts: list[str], identity: Tensor | None = None) -> Text:
        """Encode prompts, with face embeddings [B, 512] in the place of ``id``."""
        return Text(encode_prompt(self.tokenizer, self.text_encoder, prompts, identity))

    def _null(self, prompt: str) -> Text:
        """The text of e(0), one row; see :meth:`encode_null`."""
        encoders = [part for name, part in self.components.items() if name.startswith("text_encoder")]
        if any(getattr(encoder, "peft_config", None) for encoder in encoders):
            return self._encode_null(prompt)  # a LoRA comes and goes; what was kept is that of the plain encoder
        if prompt not in self._null_prompts:
            self._null_prompts[prompt] = self._encode_null(prompt)
        return self._null_prompts[prompt]

    def _encode_null(self, prompt: str) -> Text:
        """The base's own idea of no prompt, or a prompt of what is not wanted; one row."""
        return self._encode([prompt])

    def _text(self, conditions: Conditions, guide: Guidance, negative_prompt: str, device: torch.device) -> Text:
        """The text of all evaluations, E P rows: the prompt, if any, where a set holds ``text``, else e(0)."""
        dtype = self.unet.dtype
        null = self._null(negative_prompt).to(device, dtype).expand(conditions.count)
        said = null
        if conditions.has_text:
            identity = conditions.identity_in_prompt
            said = self._encode(conditions.prompts, None if identity is None else identity.to(device)).to(device, dtype)
            # a row without words is what it is where nobody has any
            said = said.where(torch.tensor([bool(prompt) for prompt in conditions.prompts], device=device), null)
        return stacked([said if "text" in names else null for names in guide.evaluations()])

    def _added_conditions(self, text: Text, size: tuple[int, int], **options: Any) -> dict[str, Any]:
        """What the UNet and a ControlNet are told besides, by keyword, a row for each of ``text``; here nothing."""
        if options:
            raise BadInput(f"This base takes no {', '.join(options)}; leave it out.")
        return {}

    def _autoencoding(self) -> AbstractContextManager[None]:
        """The state in which the autoencoder has to be at work."""
        return nullcontext()

    def _tokens(self, branch: Branch, condition: Tensor, kind: str) -> Tensor:
        if kind == "expression":
            condition = branch_condition(branch, self.expression_encoder, condition)
        return branch.encode(condition)

    def _latent_size(self, height: int | None, width: int | None) -> tuple[int, int]:
        own = self.unet.config.sample_size
        own_h, own_w = (own, own) if isinstance(own, int) else own
        factor = self.vae_scale_factor
        if any(side is not None and (side < factor or side % factor) for side in (height, width)):
            raise BadInput(f"Height and width must be multiples of {factor}, not {height} x {width}.")
        return (height or own_h * factor) // factor, (width or own_w * factor) // factor

    def _finish(self, latents: Tensor, output_type: str) -> Any:
        if output_type == "latent":
            return latents
        with self._autoencoding():
            pictures = decode_latents(self.vae, latents).clamp(-1, 1)
        return self.image_processor.postprocess(pictures, output_type=output_type)
