"""What the benchmark works with: the model, the renderer, readers and judges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import BadInput, MissingAsset, MissingDependency
from mien.evaluation.control.pictures import Drawing
from mien.evaluation.control.scene import Draws, Subject
from mien.evaluation.judges import judge_in, open_judge, open_network, picture_features
from mien.evaluation.networks import Networks, load_networks
from mien.evaluation.networks.load import Features
from mien.evaluation.outside import OutsideNetworks
from mien.provenance.fingerprint import JUDGES

if TYPE_CHECKING:
    from mien.faces.arcface_embedder import ArcFaceEmbedder
    from mien.faces.networks import IdentityEmbedder, JudgeAttributes, JudgeFace, JudgeGaze, JudgeIdentity
    from mien.faces.types import FaceReader
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.spec import ModelSpec
    from mien.studio.renderer import Render

log = logging.getLogger(__name__)

EMBEDDER = "identity/diffusion_pytorch_model.safetensors"
_READER = "reader/"
_NOT_DRAWING = (f"{JUDGES}/", _READER)
"""Folders in a model folder of what only reads and judges pictures."""
_ONLY_FOR = {
    "branch": ("adapters/faceid.safetensors",),
    "landmarks": ("adapters/landmarks.safetensors",),
    "emotion": ("adapters/emotion.safetensors",),
    "expression": (
        "adapters/expression.safetensors",
        "expression_encoder/configuration",
        "expression_encoder/diffusion_pytorch_model.safetensors",
    ),
    "few": ("few_step.safetensors",),
}
"""What pictures of a condition, of an identity's way in, or of a mode depend on and others do not."""


@dataclass(frozen=True, eq=False)
class EvaluationContext:
    """Everything the benchmark calls.

    Attributes:
        pipeline: a `mien.pipelines.PortraitPipeline`, or what behaves like one.
        kinds: its branches.
        size: side of its pictures in pixels.
        renderer: draws identities, targets and exact answers; None where the pictures are a user's own.
        readers: name -> reader; the first one's landmarks steer the model and place the judges' crops.
        embedder: aligned crops [B, 3, S, S] -> identity embeddings [B, 512], the model's own: that of its base.
        judge_face: crops -> {"coefficients", "pose", "emotion"}; its method ``predict``, and ``seen``.
        judge_gaze: crops of eyes and face -> degrees; its method ``predict``. None without it.
        judge_identity: crops [B, 3, 96, 96] -> embeddings of L2 norm 1.
        judge_attributes: whole pictures [B, 3, 96, 96]; its methods ``features`` and ``predict``, and ``classes``. None
            without it.
        networks: of other groups, for numbers under their names.
        outside: networks that find faces by themselves; None without them.
        models: file -> sha256 of what the pictures depend on.
        judges: file -> sha256 of what the numbers depend on besides.
        kit: sha256 of the face kit.
        plain_prompt: what a base of full size is told where nothing is said in words.
        reopen: loads the pipeline in another process; picklable. None: only this process draws.
        drawing: who draws, and who reads where there is much to read.
        reopen_readers: loads readers, judges and networks in another process; picklable. None: only this process reads.
    """

    pipeline: PortraitPipeline
    kinds: frozenset[str]
    size: int
    renderer: Draws | None
    readers: Mapping[str, FaceReader]
    embedder: IdentityEmbedder | ArcFaceEmbedder
    judge_face: JudgeFace
    judge_identity: JudgeIdentity
    judge_gaze: JudgeGaze | None = None
    judge_attributes: JudgeAttributes | None = None
    networks: Networks = field(default_factory=Networks)
    outside: OutsideNetworks | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    judges: Mapping[str, str] = field(default_factory=dict)
    kit: str = ""
    plain_prompt: str | None = None
    reopen: Callable[[], PortraitPipeline] | None = None
    drawing: Drawing = field(default_factory=Drawing)
    reopen_readers: Callable[[], EvaluationContext] | None = None

    @property
    def first_reader(self) -> str:
        """Name of the reader whose landmarks are used."""
        return next(iter(self.readers))

    def looks(self) -> dict[str, Features]:
        """Name -> features [1, D] of a whole picture: the attribute judge's, as ``studio``, and other groups'."""
        own = {} if self.judge_attributes is None else {"studio": partial(picture_features, self.judge_attributes)}
        return own | dict(self.networks.sets)

    def models_for(
        self, conditions: Iterable[str], speed: str = "exact", identity_mode: str = "prompt"
    ) -> dict[str, str]:
        """Those of `models` that pictures under these conditions depend on; the base's own settings are no weights.

        Also the studio's reader where it says what is shown: a prompt's words, the emotions of a user's own pictures.
        """
        asked = set(conditions)
        used = asked | {speed, identity_mode}
        idle = {file for name, files in _ONLY_FOR.items() if name not in used for file in files}
        read = "prompt" in asked or (self.renderer is None and "emotion" in asked)
        used_files = {**self.models, **(_studio_reader(self.judges) if read else {})}
        return {name: digest for name, digest in used_files.items() if name not in idle | {"model_index.json"}}

    def render(self, subject: Subject) -> Render:
        """A planned picture, drawn.

        Raises:
            BadInput: if the pictures of this run are a user's own.
        """
        if self.renderer is None:
            raise BadInput("Without the face kit nothing can be rendered; give --facekit.")
        return self.renderer.render(subject.person, subject.picture)


def load_tools(
    model: str, kit: Path | None, rendered: bool = True, networks: Iterable[str] = (), reader: str = "auto"
) -> EvaluationContext:
    """Load a model with its judges, and whatever readers are at hand.

    Args:
        model: ``studio`` or the folder of a base.
        kit: the face kit's file; None takes ``MIEN_FACEKIT``.
        rendered: people and targets are renders, for which the kit is needed.
        networks: names of networks of other groups, see `mien.evaluation.networks`.
        reader: whose landmarks steer the model and place the judges' crops, see `mien.faces.open.open_reader`;
            ``auto`` is MediaPipe's model where it is, with its package or without, else the studio's reader. The
            studio's reads beside any.

    Raises:
        MienError: if the model, a judge, a network, the kit or every reader is missing.
    """
    from mien.assets import embedded
    from mien.faces.networks import IdentityEmbedder, JudgeAttributes, JudgeFace, JudgeGaze, JudgeIdentity
    from mien.pipelines.load import branch_kinds, load_pipeline, picture_size
    from mien.provenance.fingerprint import model_hashes
    from mien.studio.kit import FaceKit
    from mien.studio.renderer import Renderer

    networks = tuple(networks)
    others = load_networks(networks)
    face_kit = FaceKit.load(kit) if rendered else None
    pipeline = load_pipeline(model)
    folder = embedded(model) if model == "studio" else Path(model)
    readers, judging_in = _readers(folder, reader), folder / JUDGES
    hashes = model_hashes(folder, {})
    judging = {name: digest for name, digest in hashes.items() if name.startswith(_NOT_DRAWING)}
    used = {name: digest for name, digest in hashes.items() if name not in judging} | _steering(readers, judging)
    size = picture_size(pipeline)
    return EvaluationContext(
        pipeline=pipeline,
        kinds=branch_kinds(pipeline),
        size=size,
        renderer=Renderer(face_kit, size=size) if face_kit else None,
        readers=readers,
        embedder=open_network(IdentityEmbedder, folder / "identity"),
        judge_face=open_judge(JudgeFace, judging_in / "face"),
        judge_identity=open_judge(JudgeIdentity, judging_in / "identity"),
        judge_gaze=judge_in(JudgeGaze, judging_in / "gaze"),
        judge_attributes=judge_in(JudgeAttributes, judging_in / "attributes"),
        networks=others,
        models=used,
        judges=judging | dict(others.files),
        kit=face_kit.sha256 if face_kit else "",
        reopen_readers=partial(load_tools, model, None, False, networks, reader),
    )


def with_model(tools: EvaluationContext, pipeline: PortraitPipeline, spec: ModelSpec) -> EvaluationContext:
    """The same readers, judges and renderer around another model.

    A model of another size has renders of its own size; of full size it embeds identities with the ArcFace that its
    base, or the adapters made for it, understand.

    Raises:
        BadInput: if its identity embedder is one of the studio's kind, but not the studio's.
        MissingAsset: if its ArcFace is not here.
    """
    from mien.pipelines.base_facts import base_hashes
    from mien.pipelines.bases import is_small
    from mien.pipelines.load import branch_kinds, picture_size
    from mien.provenance.fingerprint import model_hashes

    size = picture_size(pipeline)
    found = replace(tools, pipeline=pipeline, kinds=branch_kinds(pipeline), size=size, reopen=spec.load)
    if size != tools.size and tools.renderer is not None:
        from mien.studio.renderer import Renderer

        found = replace(found, renderer=Renderer(tools.renderer.kit, size=size))
    used = dict(tools.models)
    if spec.base != "studio":
        own = base_hashes(spec.base)
        used = {name: digest for name, digest in own.items() if not name.startswith(_NOT_DRAWING)}
        used |= _steering(tools.readers, tools.judges)
        if used.get(EMBEDDER, tools.models.get(EMBEDDER)) != tools.models.get(EMBEDDER):
            raise BadInput(f"{spec.base} has an identity embedder of its own, which is not supported here yet.")
    if not is_small(spec.base):
        found, file = _of_full_size(found, spec.base)
        used["identity/arcface.onnx"] = file
    hashes = spec.hashes(used)
    if (encoder := getattr(pipeline, "parts", {}).get("image_encoder")) is not None:  # the asset that fits the adapters
        hashes |= model_hashes(None, {"image_encoder": encoder})
    return replace(found, models=hashes)


def _of_full_size(tools: EvaluationContext, base: str) -> tuple[EvaluationContext, str]:
    """With the ArcFace of a base and the prompt that it is told; and the network's sha256."""
    from mien.core.io import sha256_of
    from mien.faces.arcface_embedder import ArcFaceEmbedder
    from mien.generation.tools import plain_prompt
    from mien.pipelines.bases import arcface_file

    path = arcface_file(base)
    return replace(tools, embedder=ArcFaceEmbedder(path), plain_prompt=plain_prompt(base)), sha256_of(path)


def _steering(readers: Mapping[str, FaceReader], judging: Mapping[str, str]) -> dict[str, str]:
    """Names and sha256 of the first reader's files, whose landmarks steer whatever base."""
    from mien.core.io import sha256_of

    files = getattr(next(iter(readers.values())), "files", {})
    return {name: sha256_of(file) for name, file in files.items()} or _studio_reader(judging)


def _studio_reader(judging: Mapping[str, str]) -> dict[str, str]:
    """Those of the files that read or judge which are the studio's reader."""
    return {name: digest for name, digest in judging.items() if name.startswith(_READER)}


def _readers(folder: Path, name: str) -> dict[str, FaceReader]:
    """The reader that is asked for, first, and the studio's; see `load_tools`.

    Raises:
        BadInput: if there is no reader of that name.
        MissingAsset, MissingDependency: if it is not here.
    """
    from mien.faces.landmarker import LandmarkerReader
    from mien.faces.mediapipe import MediaPipeReader
    from mien.faces.open import open_reader
    from mien.faces.studio import StudioReader

    if name != "auto":
        studio = StudioReader.from_pretrained(folder)
        opened = open_reader(name, studio)
        return {opened.name: opened} | ({} if opened.name == studio.name else {studio.name: studio})
    found: dict[str, FaceReader] = {}
    for name, load in (
        ("mediapipe", MediaPipeReader),
        ("mediapipe", LandmarkerReader),
        ("studio", lambda: StudioReader.from_pretrained(folder)),
    ):
        if name in found:
            continue
        try:
            found[name] = load()
        except (MissingAsset, MissingDependency) as error:
            log.warning("without the reader %s: %s", name, error)
    if not found:
        raise MissingAsset(
            f"No face reader is at hand: put MediaPipe's model into MIEN_ASSETS, or train {folder}/reader."
        )
    return found
