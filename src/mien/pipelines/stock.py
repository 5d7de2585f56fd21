"""Landmark and emotion branches in stock diffusers: a community pipeline in one file.

``mien model assemble`` writes this file as ``stock_pipeline.py`` with the two encoders in the place of their imports,
so that it runs where mien is not installed:

    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(
        "facecrafter", custom_pipeline="facecrafter/stock_pipeline.py", trust_remote_code=True
    )
    pipe.load_branches("facecrafter")
    image = pipe(identity=embedding, landmarks=picture, emotion=[0.8, 0.4, 0, 1, 0, 0, 0, 0, 0, 0]).images[0]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from safetensors import safe_open
from torch import Tensor, nn

from mien.adapters.encoders.emotion import EmotionEncoder
from mien.adapters.encoders.landmarks import LandmarkEncoder

ID_PROMPT = "photo of a id person"
GUIDANCE = {"identity": 2.5, "landmarks": 2.0, "emotion": 2.0}
"""FaceCrafter's weights (sec. 4.1)."""
ENCODERS: dict[str, type[nn.Module]] = {"landmarks": LandmarkEncoder, "emotion": EmotionEncoder}


class StockBranch(nn.Module):
    """A branch of one of mien's adapter files: tokens of a condition, and their keys and values in each block.

    Args:
        settings: of the branch, from the file's metadata.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind = settings["kind"]
        usual = settings.get("site", "parallel") == "parallel" and settings.get("null", "cut") == "cut"
        if self.kind not in ENCODERS or not usual or settings.get("local") or settings.get("lora"):
            raise ValueError(f"This file runs plain landmark and emotion branches, not this one: {dict(settings)}.")
        dim = settings["token_dim"]
        self.encoder = ENCODERS[self.kind](dim, **settings["encoder_config"])
        self.kv = nn.ModuleDict(
            {
                key: nn.ModuleDict({part: nn.Linear(dim, spec[0], bias=False) for part in ("to_k", "to_v")})
                for key, spec in settings["blocks"].items()
            }
        )


class BranchProcessor:
    """Cross-attention of one block, and one more attention term for each branch (FaceCrafter Eq. 1).

    Args:
        block: its key in the branches.
        branches: kind -> branch; shared with the pipeline.
        tokens: kind -> (tokens [R, N, D], rows [R] of the batch that have them); set by the pipeline for a call.
    """

    def __init__(
        self, block: str, branches: Mapping[str, StockBranch], tokens: Mapping[str, tuple[Tensor, list[int]]]
    ) -> None:
        self.block, self.branches, self.tokens = block, branches, tokens

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: object, **__: object
    ) -> Tensor:
        """See diffusers' processors."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.to_q(hidden_states)
        total = self._attend(attn, query, attn.to_k(source), attn.to_v(source))
        for kind, (tokens, rows) in self.tokens.items():
            if self.block in self.branches[kind].kv:
                pair: Any = self.branches[kind].kv[self.block]
                index = torch.tensor(rows, device=query.device)
                part = self._attend(attn, query[index], pair["to_k"](tokens), pair["to_v"](tokens))
                total = total.index_add(0, index, part)
        return attn.to_out[1](attn.to_out[0](total)) / attn.rescale_output_factor

    @staticmethod
    def _attend(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (one.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for one in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).to(query.dtype)


class LandmarkEmotionPipeline(StableDiffusionPipeline):
    """Arc2Face with FaceCrafter's branches: who, which pose and expression, which feeling."""

    branches: dict[str, StockBranch]

    def load_branches(self, folder: str) -> None:
        """Take ``adapters/landmarks.safetensors`` and ``emotion.safetensors`` of a folder, and its e(0).

        Args:
            folder: of ``mien model assemble``.

        Raises:
            ValueError: if a branch is of another kind.
        """
        self.branches, self._tokens, self._null_text = {}, {}, None
        device, dtype = self.unet.device, self.unet.dtype
        for kind in ENCODERS:
            path = Path(folder) / "adapters" / f"{kind}.safetensors"
            if path.is_file():
                with safe_open(str(path), "pt") as file:
                    ((name, settings),) = json.loads(file.metadata()["config"]).items()
                    branch = StockBranch(settings)
                    names = list(file.keys())
                    branch.load_state_dict({key.removeprefix(f"{name}."): file.get_tensor(key) for key in names})
                self.branches[kind] = branch.to(device, dtype).eval()
        null = Path(folder) / "null_text.safetensors"
        if null.is_file():
            with safe_open(str(null), "pt") as file:
                self._null_text = file.get_tensor("states").to(device, dtype)
        processors: dict[str, Any] = {}
        for name, own in self.unet.attn_processors.items():
            block = name.removesuffix(".processor").replace(".", "/")
            cross = block.endswith("attn2")
            processors[name] = BranchProcessor(block, self.branches, self._tokens) if cross else own
        self.unet.set_attn_processor(processors)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        identity: Tensor,
        landmarks: Tensor | None = None,
        emotion: Tensor | Sequence[float] | None = None,
        *,
        num_inference_steps: int = 25,
        guidance: Mapping[str, float] | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        output_type: str = "pil",
    ) -> StableDiffusionPipelineOutput:
        """Draw one person.

        Args:
            identity: ArcFace embedding [512] or [1, 512], L2 norm 1.
            landmarks: picture of the drawn landmarks [1, 3, H, W] in [-1, 1].
            emotion: valence, arousal and eight probabilities, [10] or [1, 10].
            num_inference_steps: denoising steps.
            guidance: weights of Eq. 6 over `GUIDANCE`.
            generator: of the noise.
            output_type: as in diffusers.
        """
        unet: Any = self.unet
        device, dtype = unet.device, unet.dtype
        given = {} if landmarks is None else {"landmarks": landmarks}
        given |= {} if emotion is None else {"emotion": torch.as_tensor(emotion, dtype=torch.float32).reshape(1, 10)}
        weights = {**GUIDANCE, **(guidance or {})}
        # rows: e(0), e(id), then e(id, condition) of each condition
        self._tokens.clear()
        for row, (kind, condition) in enumerate(given.items(), 2):
            self._tokens[kind] = self.branches[kind].encoder(condition.to(device, dtype)), [row]
        null = self._text("") if self._null_text is None else self._null_text
        person = self._text(ID_PROMPT, torch.as_tensor(identity).reshape(1, -1))
        text = torch.cat([null, *[person] * (1 + len(given))])
        self.scheduler.set_timesteps(num_inference_steps, device=device)
        shape = (1, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        latents = randn_tensor(shape, generator=generator, device=device, dtype=dtype)
        latents = latents * self.scheduler.init_noise_sigma
        bar: Any = self.progress_bar
        for step in bar(self.scheduler.timesteps):
            rows = self.scheduler.scale_model_input(latents, step).expand(len(text), -1, -1, -1)
            nothing, plain, *more = unet(rows, step, encoder_hidden_states=text).sample
            found = nothing + weights["identity"] * (plain - nothing)
            for kind, one in zip(given, more, strict=True):
                found = found + weights[kind] * (one - plain)
            latents = self.scheduler.step(found[None], step, latents).prev_sample
        self._tokens.clear()
        pictures = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        images: Any = self.image_processor.postprocess(pictures, output_type=output_type)
        return StableDiffusionPipelineOutput(images=images, nsfw_content_detected=None)

    def _text(self, prompt: str, identity: Tensor | None = None) -> Tensor:
        """Text states [1, L, D]; with a face its embedding stands in the place of the word ``id`` (Arc2Face)."""
        ids = self.tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").input_ids
        ids = ids.to(self.text_encoder.device)
        place = ids == self.tokenizer.convert_tokens_to_ids("id</w>")

        def put(_: object, __: object, output: Tensor) -> Tensor:
            assert identity is not None
            face = F.pad(identity, (0, output.shape[-1] - identity.shape[-1])).to(output)
            return torch.where(place[..., None], face[:, None], output)

        handle = None if identity is None else self.text_encoder.get_input_embeddings().register_forward_hook(put)
        try:
            return self.text_encoder(ids)[0]
        finally:
            if handle is not None:
                handle.remove()
