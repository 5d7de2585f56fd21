"""Reading faces with the studio's own networks: no package but torch, no download."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mien.errors import MissingAsset
from mien.faces.alignment import (
    STUDIO_CENTRE,
    STUDIO_RADIUS,
    arcface_matrix,
    crop_picture,
    invert,
    scale_and_shift,
    studio_crop,
    studio_matrix,
    transform_points,
    warp,
)
from mien.faces.networks import Detector, IdentityEmbedder, StudioFaceNet
from mien.faces.surroundings import surroundings
from mien.faces.types import Face, Picture, Reading, reading_of, rgb_array

EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "studio"
"""The weights that ship with the package."""

SURE = 0.6
"""Least probability of a named attribute that is reported (*ours*)."""
FRAMINGS, SETTLED = 6, 0.03
"""How often a face is framed anew by its landmarks at most; it is enough once no corner moves by more of the side."""


def _tensor(image: Image.Image) -> Tensor:
    """PIL picture -> [1, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


class StudioReader:
    """Find faces, frame each as the studio does, look to frame it better until the frame settles, then read it.

    Args:
        detector: finds faces; like the others in float32, and put into eval mode.
        face: reads a framed face.
        embedder: tells people apart.
        threshold: least score of a detection and least presence of a face in its frame.

    Example:
        >>> from PIL import Image
        >>> from mien.faces import StudioReader
        >>> face = StudioReader.from_pretrained().read(Image.open("me.jpg")).face()
        >>> face.landmarks.shape, face.identity.shape
        ((478, 3), (512,))
    """

    name = "studio"

    def __init__(
        self, detector: Detector, face: StudioFaceNet, embedder: IdentityEmbedder, threshold: float = 0.4
    ) -> None:
        self.detector, self.face, self.embedder = detector.eval(), face.eval(), embedder.eval()
        self.threshold = threshold

    @classmethod
    def from_pretrained(cls, folder: Path | str | None = None, **options: Any) -> Self:
        """Load ``reader/detector``, ``reader/face`` and ``identity`` below ``folder`` (the embedded weights if None).

        Raises:
            MissingAsset: if one of them is not there.
        """
        folder = Path(folder) if folder is not None else EMBEDDED
        parts = {"detector": Detector, "face": StudioFaceNet, "identity": IdentityEmbedder}
        paths = {name: folder / ("identity" if name == "identity" else f"reader/{name}") for name in parts}
        for path in paths.values():
            if not (path / "config.json").is_file():
                raise MissingAsset(
                    f"The studio's face reader is not in {folder}: install mien again, or train it (mien train)."
                )
        nets = [net.from_pretrained(paths[name]).float() for name, net in parts.items()]
        return cls(*nets, **options)

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        picture = Image.fromarray(rgb_array(image))
        faces = [self._read_face(picture, row) for row in self._detect(picture)]
        return reading_of([face for face in faces if face is not None], source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order."""
        return [self.read(image) for image in images]

    def _detect(self, picture: Image.Image) -> list[list[float]]:
        """Rows (x, y, radius, score) in pixels of the picture, from the whole of it on a grey square."""
        size = self.detector.config["size"]
        scale = size / max(picture.size)
        matrix = torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]])
        matrix[:, 2] = torch.tensor([(size - side * scale) / 2 for side in picture.size])
        # a low threshold here: whether it is a face is decided from the crop, which shows more of it
        rows = self.detector.detect(_tensor(crop_picture(picture, matrix, size)), self.threshold * 0.5)[0]
        back = invert(matrix)
        places = transform_points(back, rows[:, :2])
        return torch.cat([places, rows[:, 2:3] / scale, rows[:, 3:]], 1).tolist()

    @torch.no_grad()
    def _read_face(self, picture: Image.Image, row: list[float]) -> Face | None:
        size = self.face.config["size"]
        x, y, radius, score = row
        scale = torch.tensor(STUDIO_RADIUS * size / max(radius, 1e-3))
        matrix = scale_and_shift(scale, torch.tensor(STUDIO_CENTRE) * size - scale * torch.tensor([x, y]))
        # a detection may be half as large as its face: everything is read once the landmarks frame the face as they did
        crop, read = self._look(picture, matrix)
        for _ in range(FRAMINGS):
            framed = studio_matrix(transform_points(invert(matrix), read["landmarks"][0])[None], size)[0]
            moved, matrix = _moved(matrix, framed, size), framed
            crop, read = self._look(picture, matrix)
            if moved < SETTLED:
                break
        presence = read["presence"].item()
        if presence < self.threshold:
            return None
        points = transform_points(invert(matrix), read["landmarks"][0])
        aligned = _tensor(crop_picture(picture, arcface_matrix(points[None])[0], self.embedder.config["size"]))
        (x0, y0), (x1, y1) = points[:, :2].amin(0).tolist(), points[:, :2].amax(0).tolist()
        vector = {name: value[0].numpy() for name, value in read.items()}
        return Face(
            reader=self.name,
            box=(x0, y0, x1, y1),
            score=min(1.0, (score * presence) ** 0.5),
            landmarks=points.numpy(),
            blendshapes=vector["blendshapes"],
            coefficients=vector["coefficients"],
            pose=tuple(float(v) for v in vector["pose"]),  # type: ignore[arg-type]
            emotion=vector["emotion"],
            identity=self.embedder(aligned)[0].numpy(),
            mask=_mask_of_picture(read["mask"], matrix, size, picture.size),
            attributes=self._attributes(vector, crop),
        )

    def _look(self, picture: Image.Image, matrix: Tensor) -> tuple[Image.Image, dict[str, Tensor]]:
        """The crop under a matrix [2, 3], and what the network reads in it."""
        crop = crop_picture(picture, matrix, self.face.config["size"])
        return crop, self.face.predict(_tensor(crop))

    def attributes(self, image: Picture, landmarks: NDArray[np.float32]) -> dict[str, Any]:
        """Attributes of a face that another reader found, as in `Face`.

        Args:
            image: RGB picture (PIL, or uint8 [H, W, 3]).
            landmarks: [478, 3], pixels of the picture.
        """
        crop = studio_crop(Image.fromarray(rgb_array(image)), landmarks, self.face.config["size"])[0]
        vector = {name: value[0].numpy() for name, value in self.face.predict(_tensor(crop)).items()}
        return self._attributes(vector, crop)

    def _attributes(self, vector: dict[str, NDArray[np.float32]], crop: Image.Image) -> dict[str, Any]:
        """What the network is sure of; a wrong word in a description does more harm than a missing one.

        What is around the face is recognised by its colours.
        """
        sure = {name: sure_word(values, vector[name]) for name, values in self.face.classes.items()}
        words = {name: word for name, word in sure.items() if word is not None}
        numbers = {name: float(vector[name][0]) for name in ("skin_tone", "age", "gender")}
        return words | numbers | surroundings(np.asarray(crop))


def _moved(before: Tensor, after: Tensor, size: int) -> float:
    """How far a crop's corner moves at most from one matrix [2, 3] to another, as a share of its side."""
    corners = torch.tensor([[0.0, 0.0], [size, 0.0], [0.0, size], [size, size]])
    moved = transform_points(after, transform_points(invert(before), corners)) - corners
    return moved.norm(dim=1).max().item() / size


def sure_word(values: Sequence[str], probabilities: NDArray[np.float32]) -> str | None:
    """The most probable of an attribute's values, or None where that is too unsure.

    Where ``none`` is among them, whether there is any is decided before which: glasses of a doubtful shape are glasses.

    Args:
        values: N names.
        probabilities: [N].
    """
    best = int(probabilities.argmax())
    if probabilities[best] >= SURE:
        return values[best]
    if "none" in values and 1 - probabilities[values.index("none")] >= SURE:
        return values[max((i for i, value in enumerate(values) if value != "none"), key=lambda i: probabilities[i])]
    return None


def _mask_of_picture(mask: Tensor, matrix: Tensor, size: int, picture: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask [1, h, h] of a crop as uint8 [H, W] of the picture; 0 outside the crop."""
    small = matrix * (mask.shape[-1] / size)
    side = max(picture)
    whole = warp(mask[None], invert(small)[None], side, padding="zeros")[0, 0, : picture[1], : picture[0]]
    return (whole * 255).round().clamp(0, 255).byte().numpy()
