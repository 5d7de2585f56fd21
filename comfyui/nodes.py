"""The nodes: what they take and give, in ComfyUI's V3 schema. What they do is in the modules beside this one."""

# pyright: reportMissingImports=false
# comfy and its API come with ComfyUI and are in no package registry
from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.ldm.modules.attention
import comfy.model_management
import comfy.samplers
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io, ui

from mien.assets import find_asset, require_asset
from mien.conditions import EMOTIONS, Emotion
from mien.faces.names import READERS

from . import portrait, readings
from .apply import Conditions, apply_branches, open_adapter
from .blocks import attention_places
from .weights import weigh

FOLDER = "mien"
"""Under ComfyUI's models: adapter files."""
PUBLISHED = ("ip-adapter-faceid-sd15", "ip-adapter-faceid-sdxl", "ip-adapter-sd15", "ip-adapter-sdxl")
"""Adapters of others that ``mien assets get`` fetches."""

Face = io.Custom("MIEN_FACE")
Identity = io.Custom("MIEN_IDENTITY")
Expression = io.Custom("MIEN_EXPRESSION")
Landmarks = io.Custom("MIEN_LANDMARKS")
Feeling = io.Custom("MIEN_EMOTION")


def register_folder() -> None:
    """Let ComfyUI look for adapter files in models/mien."""
    folder = str(Path(folder_paths.models_dir) / FOLDER)
    if FOLDER not in folder_paths.folder_names_and_paths:
        folder_paths.folder_names_and_paths[FOLDER] = ([folder], {".safetensors", ".bin", ".pt"})


def adapter_names() -> list[str]:
    """Files in models/mien, then published adapters that are here."""
    return [*folder_paths.get_filename_list(FOLDER), *(name for name in PUBLISHED if find_asset(name) is not None)]


def _optional(kind: Any, name: str, tooltip: str) -> Any:
    return kind.Input(name, optional=True, tooltip=tooltip)


def _number(name: str, low: float, high: float, tooltip: str, default: float = 0.0, step: float = 0.05) -> Any:
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip)


class ReadFace(io.ComfyNode):
    """The largest face of each picture."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienReadFace", display_name="Read Face", category="mien", is_output_node=True,
            description="Landmarks, head pose and emotion of the largest face, drawn over the picture.",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("reader", options=list(READERS), default="auto",
                               tooltip="Who reads: auto is MediaPipe's networks where they are here, else mien's own."),
            ],
            outputs=[
                Face.Output(display_name="face"),
                io.Image.Output(display_name="preview"),
                io.String.Output(display_name="text"),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, image: torch.Tensor, reader: str) -> Any:
        """Read."""
        faces = readings.read_faces(image, reader)
        words, shown = readings.words_for(faces), readings.drawn_over(faces)
        return io.NodeOutput(faces, shown, words, ui=ui.PreviewImage(shown, cls=cls))


class ReadIdentity(io.ComfyNode):
    """Who it is."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienIdentity", display_name="Identity", category="mien",
            description="Who the faces show. Several pictures of one person are averaged.",
            inputs=[
                Face.Input("face"),
                io.Combo.Input("embedder", options=list(readings.EMBEDDERS), default="arcface",
                               tooltip="arcface for adapters of SD1.5 and SDXL, studio for mien's small ones."),
            ],
            outputs=[Identity.Output(display_name="identity")],
        )  # fmt: skip

    @classmethod
    def execute(cls, face: Any, embedder: str) -> Any:
        """Embed."""
        return io.NodeOutput(readings.identify(face, embedder))


class ReadExpression(io.ComfyNode):
    """What the face does, as a picture."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienExpression", display_name="Expression", category="mien",
            description="The face's crop, for expression adapters, which read it through CLIP Vision.",
            inputs=[Face.Input("face")],
            outputs=[Expression.Output(display_name="expression"), io.Image.Output(display_name="crop")],
        )  # fmt: skip

    @classmethod
    def execute(cls, face: Any) -> Any:
        """Crop."""
        crop = readings.expression_of(face)
        return io.NodeOutput(crop, (crop.permute(0, 2, 3, 1) + 1) / 2)


class MakeLandmarks(io.ComfyNode):
    """Landmarks and pose."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienLandmarks", display_name="Landmarks and Pose", category="mien",
            description="The landmark image of a face: this person's shape, that expression, turned so.",
            inputs=[
                io.Int.Input("size", default=512, min=64, max=2048, step=8, tooltip="Side of the picture in pixels."),
                _optional(Face, "identity", "Whose face shape."),
                _optional(Face, "expression", "Whose expression, and head pose unless another is wanted."),
                _optional(Face, "pose", "Whose head pose."),
                _optional(Feeling, "emotion", "How the face looks where no expression is connected."),
                io.Boolean.Input("use_angles", default=False, tooltip="Turn the head by yaw, pitch and roll."),
                _number("yaw", -90, 90, "Degrees, + to the subject's left.", step=1),
                _number("pitch", -60, 60, "Degrees, + up.", step=1),
                _number("roll", -60, 60, "Degrees, + to the subject's left shoulder.", step=1),
                *(_number(name, 0, 1, f"Over the expression's own; 0 leaves it. Moves {', '.join(moves)}.")
                  for name, moves in readings.SLIDERS.items()),
            ],
            outputs=[Landmarks.Output(display_name="landmarks"), io.Image.Output(display_name="landmark_image")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, size: int, use_angles: bool, yaw: float, pitch: float, roll: float, identity: Any = None,
        expression: Any = None, pose: Any = None, emotion: Emotion | None = None, **sliders: float,
    ) -> Any:  # fmt: skip
        """Build."""
        angles = (yaw, pitch, roll) if use_angles else None
        points = readings.landmarks_for(size, identity, expression, pose, angles, sliders, emotion)
        return io.NodeOutput(points, readings.landmark_image(points, size))


class LandmarkPreview(io.ComfyNode):
    """What the landmark branch will see."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienLandmarkPreview", display_name="Landmark Preview", category="mien", is_output_node=True,
            description="Shows a landmark image before anything is drawn with it.",
            inputs=[io.Image.Input("landmark_image")], outputs=[],
        )  # fmt: skip

    @classmethod
    def execute(cls, landmark_image: torch.Tensor) -> Any:
        """Show."""
        return io.NodeOutput(ui=ui.PreviewImage(landmark_image, cls=cls))


class MakeEmotion(io.ComfyNode):
    """A feeling."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        names = [*EMOTIONS, "valence and arousal", "as read"]
        return io.Schema(
            node_id="MienEmotion", display_name="Emotion", category="mien",
            description="An emotion by its name, at a place of the valence-arousal circle, or as read in a face.",
            inputs=[
                io.Combo.Input("emotion", options=names, default="happy"),
                _number("strength", 0, 1, "Of an emotion with a name; the rest is neutral.", default=1.0),
                _number("valence", -1, 1, "Unpleasant to pleasant; for 'valence and arousal'."),
                _number("arousal", -1, 1, "Calm to excited; for 'valence and arousal'."),
                _optional(Face, "face", "For 'as read'."),
            ],
            outputs=[Feeling.Output(display_name="emotion")],
        )  # fmt: skip

    @classmethod
    def execute(cls, emotion: str, strength: float, valence: float, arousal: float, face: Any = None) -> Any:
        """Make."""
        return io.NodeOutput(readings.wanted_emotion(emotion, strength, face, (valence, arousal)))


def _attention(query: Any, key: Any, value: Any, options: Any) -> Any:
    """The server's own attention, in the form of a patch."""
    precision = options.get("attn_precision")
    compute = comfy.ldm.modules.attention.optimized_attention
    return compute(query, key, value, options["n_heads"], attn_precision=precision)


class Apply(io.ComfyNode):
    """Branches into a model."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienApply", display_name="Apply to Model", category="mien",
            description="Adds the branches of an adapter to any SD1.5 or SDXL model, with or without LoRA, for any "
                        "sampler. Use it several times for several adapters, after other nodes that patch attention.",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("adapter", options=adapter_names(),
                               tooltip="A file in models/mien, or an adapter fetched with mien assets get."),
                _number("strength", 0, 5, "Factor of the branches' attention.", default=1.0),
                _number("start", 0, 1, "Share of the sampling at which they begin.", step=0.01),
                _number("end", 0, 1, "Share of the sampling at which they end.", default=1.0, step=0.01),
                _optional(Identity, "identity", "Who."),
                _optional(io.Image, "landmark_image", "What the face does and which way it looks."),
                _optional(Expression, "expression", "What the face does, for expression adapters."),
                _optional(Feeling, "emotion", "What is felt."),
                _optional(io.ClipVision, "clip_vision", "For adapters that read a picture."),
                _optional(io.Mask, "mask", "Where in the picture the branches act."),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, adapter: str, strength: float, start: float, end: float, identity: Any = None,
        landmark_image: Any = None, expression: Any = None, emotion: Emotion | None = None, clip_vision: Any = None,
        mask: Any = None,
    ) -> Any:  # fmt: skip
        """Apply."""
        path = (
            require_asset(adapter)
            if adapter in PUBLISHED
            else Path(folder_paths.get_full_path_or_raise(FOLDER, adapter))
        )
        encoder = None
        if clip_vision is not None:
            encoder = readings.ClipVision(clip_vision, comfy.model_management.load_model_gpu)
        conditions = Conditions(
            identity=None if identity is None else identity.embedding,
            face=None if identity is None else identity.face,
            landmarks=None if landmark_image is None else readings.as_condition(landmark_image),
            expression=expression,
            emotion=None if emotion is None else torch.tensor([emotion.vector()]),
        )
        branches = open_adapter(path, attention_places(model.model.diffusion_model))
        patched = apply_branches(
            model, branches, conditions, _attention, scale=strength, span=(start, end), mask=mask, image_encoder=encoder
        )
        return io.NodeOutput(patched)


class Weights(io.ComfyNode):
    """Guidance of single conditions."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienGuidance", display_name="Guidance of Conditions", category="mien",
            description="FaceCrafter's Eq. 6: each condition with a weight of its own on top of text and identity, "
                        "which keep the sampler's cfg. One more evaluation of the model for each.",
            inputs=[
                io.Model.Input("model"),
                _number("landmarks", 0, 20, "w_LMK", default=2.0, step=0.1),
                _number("expression", 0, 20, "w_EXP", default=2.0, step=0.1),
                _number("emotion", 0, 20, "w_EMO", default=2.0, step=0.1),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )  # fmt: skip

    @classmethod
    def execute(cls, model: Any, landmarks: float, expression: float, emotion: float) -> Any:
        """Weigh."""
        weights = {"landmarks": landmarks, "expression": expression, "emotion": emotion}
        return io.NodeOutput(weigh(model, weights, comfy.samplers.calc_cond_batch))


class Portrait(io.ComfyNode):
    """A portrait by the embedded model."""

    @classmethod
    def define_schema(cls) -> Any:
        """Inputs and outputs."""
        return io.Schema(
            node_id="MienPortrait", display_name="Portrait (embedded model)", category="mien",
            description="A small portrait by the model that ships with mien: no checkpoint, no GPU, a few seconds. "
                        "The pixels carry mien's invisible watermark.",
            inputs=[
                io.Int.Input("seed", default=0, min=0, max=2**53, control_after_generate=True),
                io.Int.Input("steps", default=25, min=1, max=100),
                io.Combo.Input("speed", options=["exact", "fast", "few"], default="fast"),
                io.String.Input("prompt", default="", multiline=True, tooltip="Empty: the identity is described."),
                io.Boolean.Input("use_angles", default=False, tooltip="Turn the head by yaw, pitch and roll."),
                _number("yaw", -90, 90, "Degrees, + to the subject's left.", step=1),
                _number("pitch", -60, 60, "Degrees, + up.", step=1),
                _number("roll", -60, 60, "Degrees, + to the subject's left shoulder.", step=1),
                _optional(io.Image, "identity", "Who: one picture, or several of one person."),
                _optional(io.Image, "expression", "Whose expression, and head pose."),
                _optional(io.Image, "pose", "Whose head pose."),
                _optional(Feeling, "emotion", "What is felt."),
            ],
            outputs=[io.Image.Output(display_name="image"), io.String.Output(display_name="record")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, seed: int, steps: int, speed: str, prompt: str, use_angles: bool, yaw: float, pitch: float, roll: float,
        identity: Any = None, expression: Any = None, pose: Any = None, emotion: Emotion | None = None,
    ) -> Any:  # fmt: skip
        """Draw."""
        bar = comfy.utils.ProgressBar(steps)
        angles = (yaw, pitch, roll) if use_angles else None
        image, record = portrait.draw(
            identity,
            expression,
            pose,
            angles,
            emotion,
            prompt,
            seed,
            steps,
            speed,
            lambda _, step: bar.update_absolute(step + 1),
        )
        return io.NodeOutput(image, record)


NODES: list[Any] = [
    ReadFace, ReadIdentity, ReadExpression, MakeLandmarks, LandmarkPreview, MakeEmotion, Apply, Weights, Portrait,
]  # fmt: skip
"""In the order of the menu."""
