"""A benchmark without networks: a picture's upper half is the person's colour, its lower half the valence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from mien.evaluation.context import EvaluationContext
from mien.evaluation.outside import PARTS
from mien.faces.linear.emotions import emotion_of
from mien.faces.linear.face import LinearFace
from mien.faces.types import Face, NoFace, OneFace, Reading
from mien.studio.person import Person, sample_person
from mien.studio.scene import Scene
from mien.training.face_labels import attribute_classes

SIZE = 64
POINTS = LinearFace.load().landmarks(size=SIZE)
WHO, WHAT = (20, 48), (84, 48)  # places in a judge's crop


def picture(colour: np.ndarray, level: float) -> np.ndarray:
    """uint8 [S, S, 3] of a colour and a level in 0..1."""
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    image[: SIZE // 2], image[SIZE // 2 :] = np.round(colour * 255), round(level * 255)
    return image


ADA = sample_person(1)


def everybody(seed: int) -> Person:
    """People of every skin, age and gender in turn."""
    tone, age, gender = seed % 4 / 4 + 0.1, (20.0, 30.0, 59.9, 60.0)[seed // 4 % 4], (0.7, 0.2, -0.7)[seed // 16 % 3]
    return replace(ADA, seed=seed, skin_tone=tone, age=age, gender=gender)


class FakeRenderer:
    """Draws such pictures of planned people."""

    size, kit = SIZE, None

    def render(self, person: Person, picture_: Scene) -> Any:
        colour = np.random.default_rng(person.seed).uniform(0.2, 1, 3)
        level = (emotion_of(picture_.expression).valence + 1) / 2
        return SimpleNamespace(image=picture(colour, level), landmarks=POINTS)


class Repainted(FakeRenderer):
    """Another version of the renderer, which draws one person in other colours."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def render(self, person: Person, picture_: Scene) -> Any:
        drawn = super().render(person, picture_)
        image = drawn.image[..., ::-1].copy() if person.seed == self.seed else drawn.image
        return SimpleNamespace(image=image, landmarks=drawn.landmarks)


class FakeModel:
    """Draws what it is told, if it has been told; ``blank`` pictures have no face; remembers its calls."""

    device = torch.device("cpu")

    def __init__(self, blank: int = 0, interrupted_at: int | None = None) -> None:
        self.calls: list[int] = []
        self.blank, self.interrupted_at = blank, interrupted_at

    def __call__(self, *, generator: list[torch.Generator], **given: Any) -> Any:
        if len(self.calls) == self.interrupted_at:
            raise KeyboardInterrupt
        self.calls.append(len(generator))
        images = []
        for row in range(len(generator)):
            colour = given["identity"][row, :3].numpy() * 1.0 if given.get("identity") is not None else np.full(3, 0.5)
            level = (float(given["emotion"][row, 0]) + 1) / 2 if given.get("emotion") is not None else 0.5
            nobody = len(self.calls) == 1 and row < self.blank
            images.append(Image.fromarray(picture(colour * (not nobody), level)))
        return SimpleNamespace(images=images)


class FakeReader:
    """Sees everybody at one place, and nobody in a picture whose upper half is black."""

    name = "fake"

    def read(self, image: Any, source: str = "the picture") -> Reading:
        pixels = np.asarray(image)
        if pixels[: SIZE // 2].max() == 0:
            return NoFace(source)
        level = float(pixels[-1, 0, 0]) / 255
        face = Face(
            "fake", (0, 0, SIZE, SIZE), landmarks=POINTS, pose=(level * 30, 0.0, 0.0),
            blendshapes=np.full(52, level, np.float32),
        )  # fmt: skip
        return OneFace(face, source)

    def read_batch(self, images: Any) -> list[Reading]:
        return [self.read(image) for image in images]


class FakeEmbedder:
    """The colour, 0..1, which the fake model can undo."""

    config = {"size": 96}  # noqa: RUF012

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad((crops[:, :, WHO[0], WHO[1]] + 1) / 2, (0, 509))


class FakeJudge:
    """Coefficients all alike, no pose, and the valence."""

    config: ClassVar[dict[str, int]] = {"size": 96}
    seen: ClassVar[list[int]] = list(range(53))

    def predict(self, crops: torch.Tensor) -> dict[str, torch.Tensor]:
        valence = crops[:, 0, WHAT[0], WHAT[1]]
        emotion = torch.zeros(len(crops), 10)
        emotion[:, 0] = valence
        emotion[:, 2] = 1
        coefficients = (valence[:, None] + 1).expand(-1, 53) / 2
        return {"coefficients": coefficients, "pose": torch.zeros(len(crops), 3),
                "gaze": torch.zeros(len(crops), 2), "emotion": emotion}  # fmt: skip


class FakeGazeJudge:
    """Straight ahead, whatever is seen."""

    config: ClassVar[dict[str, int]] = {"size": 64}

    def predict(self, crops: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(crops), 2)


class FakeAttributeJudge:
    """The mean colour as features; everybody has the last class of everything."""

    classes: ClassVar[dict[str, tuple[str, ...]]] = attribute_classes()

    def predict(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = {name: torch.eye(len(values))[[-1] * len(pictures)] for name, values in self.classes.items()}
        return seen | {"features": pictures.mean((2, 3))}


class FakeOutside:
    """Finds a face in what is not all alike; sees who by the colour, and the word by the valence."""

    files: ClassVar[dict[str, str]] = {"outside/fake": "0" * 64}

    def __call__(self, pictures: Sequence[Any]) -> dict[str, np.ndarray]:
        found = {name: np.full((len(pictures), *shape), np.nan, np.float32) for name, shape in PARTS.items()}
        for row, picture in enumerate(pictures):
            pixels = np.asarray(picture, np.float32) / 255
            found["found"][row] = 0.9 * (pixels.std() > 0)
            if pixels.std() > 0:
                colour = pixels[0, 0] - 0.6
                found["identity"][row] = np.pad(colour / np.linalg.norm(colour), (0, 125))
                found["emotion"][row] = np.eye(7)[min(6, int(7 * pixels[-1, 0, 0]))]
        return found


def judge_identity(crops: torch.Tensor) -> torch.Tensor:
    """The direction of the colour from grey."""
    return torch.nn.functional.normalize(crops[:, :, WHO[0], WHO[1]] - 0.2, dim=-1)


def fake_control_tools(model: FakeModel) -> EvaluationContext:
    return EvaluationContext(
        pipeline=model,  # type: ignore
        kinds=frozenset({"landmarks", "emotion", "expression"}),
        size=SIZE,
        renderer=FakeRenderer(),  # type: ignore
        readers={"fake": FakeReader()},
        embedder=FakeEmbedder(),  # type: ignore
        judge_face=FakeJudge(),  # type: ignore
        judge_identity=judge_identity,  # type: ignore
        models={"unet": "abc"},
        kit="kit",
    )
