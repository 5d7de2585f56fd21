"""Changing the face of a given portrait: what is asked for goes into its face, the rest of the picture stays.

The face is cut out in the framing that the base draws best (unless the portrait has it already), its oval is drawn
anew from a noised copy of itself (SDEdit inside a region), and goes back with a soft edge. Who it is, which way it
looks and, where nothing else is asked for, what the face does come from the portrait itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.faces.observed import DetectedFace, landmarks_of
from mien.generation.conditioning import PipelineInputs, build_inputs
from mien.generation.request import GenerateRequest, Role
from mien.generation.tools import FaceTools
from mien.media.pictures import open_with_transparency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    Points = NDArray[np.float32]

MARGIN = 0.03
"""How far beyond the face's oval pictures are drawn anew, as a share of the drawn side (*ours*)."""
NEAR = 1.25
"""Factor by which a face may be larger or smaller than the base's framing and still be drawn where it is (*ours*)."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A portrait whose face is drawn anew.

    Attributes:
        portrait: the whole picture, RGB or, where parts of it are transparent, RGBA.
        matrix: its pixels to those of the drawn square [2, 3]; None where they are the same.
        square: the part that is drawn, S x S.
        region: L mask of that square, 255 where it is drawn anew.
    """

    portrait: Image.Image
    matrix: Tensor | None
    square: Image.Image
    region: Image.Image

    def arguments(self, strength: float) -> dict[str, Any]:
        """Arguments of `mien.pipelines.PortraitPipeline` for one picture."""
        import numpy as np
        import torch

        from mien.core.pixels import pictures_to_tensor

        region = torch.from_numpy(np.asarray(self.region, np.float32) / 255)
        return {"image": pictures_to_tensor([self.square]), "region": region[None], "strength": strength}

    def put_back(self, drawn: Image.Image) -> Image.Image:
        """The portrait with the drawn square S x S in its place; its transparency stays."""
        changed = self._changed(drawn)
        if self.portrait.mode == "RGBA":
            changed.putalpha(self.portrait.getchannel("A"))
        return changed

    def _changed(self, drawn: Image.Image) -> Image.Image:
        """The portrait's colours with the drawn square S x S in its place, RGB."""
        import numpy as np
        import torch
        from PIL import Image, ImageFilter

        from mien.faces.alignment import invert, paste

        soft = self.region.filter(ImageFilter.GaussianBlur(MARGIN * self.region.width / 2))
        portrait = self.portrait.convert("RGB")
        if self.matrix is None:
            return Image.composite(drawn, portrait, soft)
        back = invert(self.matrix)[None]

        def returned(picture: Image.Image) -> Image.Image:
            pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32)).permute(2, 0, 1)[None] / 255
            return paste(portrait, pixels, back)

        return Image.composite(returned(drawn), portrait, returned(soft).convert("L"))


def build_edit_inputs(
    request: GenerateRequest, pictures: dict[Role, Image.Image], tools: FaceTools, size: int, kinds: frozenset[str]
) -> tuple[PipelineInputs, Canvas]:
    """As `mien.generation.conditioning.build_inputs`, for a request that changes a portrait.

    Args:
        request: with ``edit``.
        pictures: opened inputs by role.
        tools: readers.
        size: side of the pictures that the base draws, pixels.
        kinds: branches that the base has.

    Returns:
        The conditions, and where they are to be drawn.

    Raises:
        NoFaceFound: if a picture has no face.
    """
    asked = _filled(request, kinds)
    pictures = {role: pictures[role] if role in pictures else pictures["edit"] for role in asked.inputs}
    inputs = build_inputs(asked, pictures, tools, size, kinds)
    own = inputs.seen["edit"]
    place, matrix, square = _framed_square(own, size)
    points = inputs.landmarks
    if points is not None:
        from mien.faces.drawing import draw_landmarks

        points = _settled(points, place)
        inputs = replace(inputs, landmarks=points, landmark_image=draw_landmarks(points, size))
    ovals = [place] if points is None else [place, points]
    portrait = None if request.edit is None else open_with_transparency(request.edit)
    return inputs, Canvas(portrait or own.image, matrix, square, _region(ovals, size))


def _filled(request: GenerateRequest, kinds: frozenset[str]) -> GenerateRequest:
    """What nobody says comes from the portrait: the person, the head's pose, and an expression to begin with."""
    own: dict[str, Any] = {} if request.identity else {"identity": request.edit}
    if "landmarks" in kinds and request.pose is None:
        own["pose"] = request.edit
    if request.expression is None and request.emotion is None:  # of parts that are given, the others stay
        own["expression"] = request.edit
    return request.model_copy(update=own)


def _framed_square(seen: DetectedFace, size: int) -> tuple[Points, Tensor | None, Image.Image]:
    """The portrait's landmarks in the square that is drawn, the way there, and that square."""
    import numpy as np
    import torch

    from mien.faces.alignment import STUDIO_RADIUS, face_place, studio_crop

    points = landmarks_of(seen)
    radius = float(face_place(torch.from_numpy(np.asarray(points, np.float32)))[2]) / (STUDIO_RADIUS * size)
    if seen.image.size == (size, size) and 1 / NEAR < radius < NEAR:
        return np.asarray(points, np.float32), None, seen.image
    square, place, matrix = studio_crop(seen.image, points, size)
    return place.astype(np.float32), matrix, square


def _settled(points: Points, place: Points) -> Points:
    """Landmarks moved to where the portrait's are, by what does not move with the expression; both [478, 3]."""
    import numpy as np
    import torch

    from mien.faces.alignment import STABLE, similarity, transform_points

    source, target = (torch.from_numpy(np.asarray(one, np.float32)) for one in (points, place))
    matrix = similarity(source[list(STABLE), :2], target[list(STABLE), :2])
    return transform_points(matrix, source).numpy()


def _region(ovals: list[Points], size: int) -> Image.Image:
    """Mask of all ovals [478, 3] and a margin around them: a mouth that opens moves the chin."""
    from PIL import Image, ImageDraw, ImageFilter

    from mien.faces.connections import POLYLINES

    mask = Image.new("L", (size, size))
    for points in ovals:
        ImageDraw.Draw(mask).polygon([tuple(points[i, :2].tolist()) for i in POLYLINES["face_oval"][0]], fill=255)
    reach = round(MARGIN * size)
    return mask.filter(ImageFilter.MaxFilter(2 * reach + 1)) if reach else mask
