"""What is around a face, by its colours in the studio's frame, in the words of captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.faces import palette

Gradient = tuple[Sequence[float], Sequence[float]]

SHADE, LIT = 0.45, 1.15
"""Shares of a cloth's own colour between which light and folds leave it (*inferred*)."""

_CLOTHES: Mapping[str, Gradient] = {
    name: ([SHADE * value for value in colour], [LIT * value for value in colour])
    for name, colour in palette.CLOTHES.items()
}
_CUT = "crew neck"
"""The cut that is named where only the colour is seen."""


def surroundings(picture: NDArray[np.uint8]) -> dict[str, str]:
    """``background`` and ``clothing`` of a picture in the studio's frame, uint8 [S, S, 3], as `Attributes` has them.

    The background is that of the upper corners; the clothes' colour that of both shoulders, which long hair may hide.
    """
    a, b, c, d = (round(share * len(picture)) for share in (0.14, 0.31, 0.69, 0.86))
    bottom = picture[len(picture) * 15 // 16 :]
    shoulders = np.concatenate([bottom[:, a:b], bottom[:, c:d]], 1)
    cloth = nearest_gradient(np.median(shoulders.reshape(1, -1, 3), 1), _CLOTHES)[0]
    return {"background": background_of(picture), "clothing": f"{cloth} {_CUT}"}


def background_of(picture: NDArray[np.uint8]) -> str:
    """Name of the background in the upper corners of a picture [S, S, 3]."""
    return nearest_gradient(background_colours([picture]), palette.BACKGROUNDS)[0]


def background_colours(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Median colour of the upper corners (an eighth of the side each) of pictures [S, S, 3], [N, 3]."""
    found = []
    for picture in pictures:
        side = max(1, len(picture) // 8)
        corners = np.concatenate([picture[:side, :side], picture[:side, -side:]], 1)
        found.append(np.median(corners.reshape(-1, 3), 0))
    return np.array(found)


def nearest_gradient(colours: ArrayLike, named: Mapping[str, Gradient]) -> list[str]:
    """Name of the gradient that each colour lies nearest to (*ours*).

    A background goes from one colour in the middle to another at the edge, so a corner may show anything between: the
    distance is that to the straight line between the two, in the colours' own space.

    Args:
        colours: [N, 3].
        named: name -> the gradient's two colours, in the same units.
    """
    points = np.asarray(colours, np.float64)
    first, second = (np.array([ends[side] for ends in named.values()], np.float64) for side in (0, 1))
    along = second - first
    length = np.maximum((along * along).sum(-1), 1e-12)
    share = ((points[:, None] - first) * along).sum(-1) / length
    nearest = first + share.clip(0, 1)[..., None] * along
    names = list(named)
    return [names[row] for row in np.linalg.norm(points[:, None] - nearest, axis=-1).argmin(1)]
