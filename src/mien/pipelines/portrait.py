"""The portrait pipeline: identity, landmarks, expression, emotion and text, any of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.image_processor import VaeImageProcessor
from diffusers.loaders import FromSingleFileMixin, StableDiffusionLoraLoaderMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from mien.adapters.branch import Branch
from mien.adapters.injection import Injection
from mien.adapters.plan import BranchPlan
from mien.diffusion.caching import STEPS, Caching, Speed, caching_of
from mien.diffusion.guidance import Guidance
from mien.errors import BadInput
from mien.pipelines.adapters_folder import adapter_for
from mien.pipelines.arguments import (
    StepCallback,
    check_callback,
    check_output_type,
    given_text,
    guidance_weights,
    negative_text,
    without_refused,
)
from mien.pipelines.autoencoders import decode_latents, vae_scale_factor
from mien.pipelines.controlnet import ControlledRows, controlled_rows
from mien.pipelines.features import branch_condition, with_picture
from mien.pipelines.few_step import in_few_steps
from mien.pipelines.files import PipelineFiles
from mien.pipelines.finite import check_drawn
from mien.pipelines.image_encoder import missing_encoder
from mien.pipelines.kept_texts import KeptTexts
from mien.pipelines.output import PortraitPipelineOutput
from mien.pipelines.prompts import PromptEncoding
from mien.pipelines.reading import (
    ConditionReader,
    EmotionLike,
    ExpressionLike,
    IdentityLike,
    PoseLike,
    read_conditions,
)
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
from mien.pipelines.rows import Generators, expand_masks, initial_noise, is_active, on_device, per_picture
from mien.pipelines.sampling import GuidedSteps, Rows
from mien.pipelines.schedulers import check_steps
from mien.pipelines.timetable import Timetable


class PortraitPipeline(PipelineFiles, PromptEncoding, StableDiffusionLoraLoaderMixin, FromSingleFileMixin):
    """Portraits under any subset of conditions, on a base shaped like Stable Diffusion 1.5.

    LoRA files are loaded as in diffusers, with ``load_lora_weights``; branches stand beside them.

    Args:
        vae: the studio's autoencoder or an ``AutoencoderKL``.
        text_encoder: a CLIP text model.
        tokenizer: its tokenizer.
        unet: the base model.
        scheduler: any diffusers scheduler; its ``prediction_type`` is that of the UNet.
        expression_encoder: face crops -> features for the expression branch; not needed when features are given.
        controlnet: reads the landmark image in the place of a landmarks branch (the papers' comparison), or attends to
            the tokens of a branch of the site ``controlnet``.
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
        tokenizer: Any,  # diffusers evaluates these types when it loads
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
        self.adapters = dict(adapters or {})
        self.few_step, self.folder, self.parts = None, None, {}
        self.reader: ConditionReader | None = None
        self._interrupt = False
        self.vae_scale_factor = vae_scale_factor(vae)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self._null_prompts, self._kept_texts = {}, KeptTexts()

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        identity: IdentityLike | None = None,
        landmarks: Tensor | None = None,
        expression: ExpressionLike | None = None,
        emotion: EmotionLike | None = None,
        *,
        pose: PoseLike | None = None,
        identity_picture: Tensor | None = None,
        identity_mode: IdentityMode | None = None,
        scales: Mapping[str, float | Tensor | Sequence[float]] | None = None,
        guidance_scale: float | Mapping[str, float] | Guidance | None = None,
        guidance: Mapping[str, float] | Guidance | None = None,
        guidance_rescale: float = 0.0,
        negative_prompt: str | Sequence[str] | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        masks: Mapping[str, Tensor] | None = None,
        steps: Mapping[str, tuple[float, float]] | None = None,
        image: Tensor | None = None,
        region: Tensor | None = None,
        strength: float = 0.6,
        num_inference_steps: int | None = None,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
        eta: float = 0.0,
        speed: Speed | Caching = "exact",
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        latents: Tensor | None = None,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | PipelineCallback | MultiPipelineCallbacks | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **base_options: Any,
    ) -> PortraitPipelineOutput | Any:
        """Draw portraits. Each condition has one row, or one a picture; rows may be different people.

        Pictures and poses are read by the pipeline's `reader`, as `mien.generate` reads them: an expression or a pose
        becomes a landmark image with the face shape of the identity, and without a prompt the identity is described.

        Args:
            prompt: text prompts; with ``identity_mode="prompt"`` they may hold the word ``id`` where the face goes.
            identity: pictures (files, PIL, arrays, uint8 tensors, or tensors [P, 3, H, W]), `mien.Identity`, or face
                embeddings [P, 512].
            landmarks: landmark images [P, 3, H, W] in [-1, 1].
            expression: pictures (files, PIL, arrays, uint8 tensors); or face crops [P, 3, H, W] in [-1, 1], or features
                [P, N, F], as floating-point tensors.
            emotion: names such as ``"happy:0.8"``, `mien.Emotion`, or [P, 10] = valence, arousal, eight probabilities.
            pose: `mien.Pose`, or pictures whose head pose is wanted.
            identity_picture: face crops [P, 3, H, W] in [-1, 1], for an identity branch that looks at them (FaceID
                Plus).
            identity_mode: ``"prompt"`` (Arc2Face) or ``"branch"`` (IP-Adapter-FaceID); the base's own when None.
            scales: condition -> scale of its branch, one number, one a row or one a picture; the base's own or 1 by
                default, 0 leaves it out. An identity in the prompt has no branch: for it see ``guidance_scale``.
            guidance_scale: one number is the guidance weight of the text; or condition or ``"text"`` -> weight, over
                those of the base and :data:`DEFAULT_GUIDANCE`; or a whole :class:`Guidance`, in whose sets ``identity``
                and ``text`` are one where the identity stands in the prompt.
            guidance: another name of ``guidance_scale``.
            guidance_rescale: 0 to 1, against over-saturation.
            negative_prompt: prompt of the unconditional evaluation, one or one a row.
            prompt_embeds: text states [P, L, D] instead of ``prompt``.
            negative_prompt_embeds: likewise instead of ``negative_prompt``.
            pooled_prompt_embeds: SDXL's pooled vectors [P, F], with ``prompt_embeds``.
            negative_pooled_prompt_embeds: likewise.
            masks: condition -> region [P, H, W] in [0, 1] in which its branch acts.
            steps: condition -> (start, end) fractions of the sampling during which its branch acts.
            image: pictures [P, 3, H, W] in [-1, 1] to change instead of drawing from noise alone (SDEdit).
            region: where they are changed, [P, H, W] in [0, 1]; everywhere when None.
            strength: how much, above 0 and up to 1: the share of the steps that is run.
            num_inference_steps: denoising steps; 25 when None, or those that ``"few"`` was distilled for.
            timesteps: the denoising steps themselves, falling, for schedulers that take them.
            sigmas: likewise, as noise levels that end with 0.
            eta: of DDIM, 0 to 1.
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
            callback_on_step_end: called after each step with (pipeline, step, timestep, tensors); it may set
                ``pipeline._interrupt`` to end the sampling there.
            callback_on_step_end_tensor_inputs: which tensors it is given; only ``latents``.
            **base_options: what only some bases take: see :class:`mien.pipelines.PortraitXLPipeline`.

        Returns:
            The pictures, all of the first row first; a tuple of them with ``return_dict=False``.

        Raises:
            BadInput: if a condition does not fit, this base has no adapter for it, or an argument of diffusers has no
                counterpart here (:data:`mien.pipelines.arguments.REFUSED`).
            NoFaceFound: if a picture has no face.
            MissingAsset: if ``"few"`` is asked for and this base has no weights for it.

        Example:
            >>> import mien
            >>> pipe = mien.load("studio")
            >>> out = pipe(identity="me.jpg", expression="friend.jpg", pose=mien.Pose(yaw=20), num_inference_steps=2)
            >>> out.images[0].size
            (256, 256)
        """
        base_options = without_refused(base_options, self)
        check_output_type(output_type)
        check_steps(num_inference_steps)
        few = self.few_step_weights() if speed == "few" else None
        weights = guidance_weights(guidance_scale, guidance)
        negatives, negative_text_given = negative_text(
            negative_prompt, negative_prompt_embeds, negative_pooled_prompt_embeds
        )
        text_given = given_text("prompt_embeds", prompt_embeds, pooled_prompt_embeds)
        scales, masks, steps = dict(scales or {}), dict(masks or {}), dict(steps or {})
        options: dict[str, dict[str, Any]] = {"scales": scales, "masks": masks, "steps": steps}
        for option, names in options.items():
            check_names(option, names, CONDITIONS)
        check_callback(callback_on_step_end, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs)
        given = {"identity": identity, "landmarks": landmarks, "expression": expression, "emotion": emotion}
        prompt, tensors, identity_picture = read_conditions(
            self, prompt, given, pose, identity_picture, text_given is not None
        )
        mode = identity_mode or self.config["identity_mode"]
        conditions = prepare_conditions(prompt, tensors, mode, num_images_per_prompt, text_given)
        check_identity_options(conditions, options)
        scales = {**self.config["scales"], **scales}
        for name in [name for name in conditions.branches if not is_active(scales.get(name, 1.0))]:
            del conditions.branches[name]
        if few is not None:
            present = [*(["text"] if conditions.has_text else []), *conditions.branches]
            unlike = negative_text_given is not None or any(negatives)
            guide = few.settings.guide(present, weights, guidance_rescale, unlike, num_inference_steps)
            few.settings.check_timetable(timesteps, sigmas)
        elif isinstance(weights, Guidance):
            guide = whole_guidance(weights, conditions)
        else:
            guide = build_guidance(conditions, weights or {}, guidance_rescale, self.config["guidance"])
        controlled = self._controlled(conditions, scales, guide, {*masks, *steps})
        names = {kind: adapter_for(self.adapters, kind, missing_encoder(self)) for kind in conditions.branches}
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
        text = self._text(conditions, guide, negative_text_given or negatives, device)
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
        count = num_inference_steps or (STEPS if few is None else few.settings.steps)
        timetable = Timetable(count, timesteps, sigmas, eta)
        with in_few_steps(self, few), on_device(low_rank, device), injection:
            latents = self._denoise(
                latents,
                text.states,
                added,
                plan,
                guide,
                controlled,
                redraw,
                timetable,
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
        timetable: Timetable,
        caching: Caching,
        generator: Generators,
        callback: StepCallback | PipelineCallback | MultiPipelineCallbacks | None,
    ) -> Tensor:
        """The sampling loop: one UNet call a step; when exact, all evaluations of all pictures in one batch."""
        scheduler = timetable.apply(self.scheduler, latents.device)
        noise = latents
        timesteps: Any = scheduler.timesteps  # diffusers declares to its callbacks that these are whole numbers
        if redraw is None:
            latents = latents * scheduler.init_noise_sigma
        else:
            latents, timesteps = redraw.begin(scheduler, noise)
        extra = timetable.step_options(scheduler, generator)
        self._interrupt = False
        rows = Rows(guide, len(latents))
        steps = GuidedSteps(self.unet, scheduler, rows, text, added, plan, controlled, caching, len(timesteps))
        with steps.shortcuts(), self.progress_bar(total=len(timesteps)) as bar:  # pyright: ignore[reportCallIssue]
            for index, timestep in enumerate(timesteps):
                if self._interrupt:
                    break
                guided = steps(latents, timestep, index)
                latents = scheduler.step(guided, timestep, latents, **extra).prev_sample
                if redraw is not None:
                    following = timesteps[index + 1] if index + 1 < len(timesteps) else None
                    latents = redraw.keep(scheduler, latents, noise, following)
                if callback is not None:
                    latents = callback(self, index, timestep, {"latents": latents}).pop("latents", latents)
                bar.update()
        return latents

    @property
    def interrupt(self) -> bool:
        """Whether a callback has asked the sampling to end, by setting ``_interrupt``."""
        return self._interrupt

    def forget(self) -> None:
        """Keep nothing of the pictures that were drawn: neither their texts nor the sampler's last estimates."""
        self._kept_texts.forget()
        estimates = getattr(self.scheduler, "model_outputs", None)
        if estimates is not None:
            self.scheduler.model_outputs = [None] * len(estimates)

    def _controlled(
        self,
        conditions: Conditions,
        scales: Mapping[str, float | Tensor | Sequence[float]],
        guide: Guidance,
        limited: set[str],
    ) -> ControlledRows | None:
        """Take the condition of a ControlNet out of the branches: the landmark image, or the tokens of a branch."""
        if self.controlnet is None:
            return None
        sited = [name for name, branch in self.adapters.items() if branch.site == "controlnet"]
        kind = self.adapters[sited[0]].kind if sited else "landmarks"
        if kind not in conditions.branches:
            return None
        if kind in limited:
            raise BadInput(f"masks and steps need a {kind} branch; a ControlNet acts everywhere and all the time.")
        condition = conditions.branches.pop(kind)
        if sited:
            condition = self._tokens(self.adapters[sited[0]], condition, kind)
        scale = per_picture(scales.get(kind, 1.0), conditions.count)
        return controlled_rows(self.controlnet, kind, condition, scale, guide.evaluations())

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
        check_drawn(self, latents)
        if output_type == "latent":
            return latents
        with self._autoencoding():
            pictures = check_drawn(self, decode_latents(self.vae, latents)).clamp(-1, 1)
        return self.image_processor.postprocess(pictures, output_type=output_type)
