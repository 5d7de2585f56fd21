"""Which of the 478 landmarks are joined, in what colour: MediaPipe Face Landmarker's topology as data (Apache-2.0)."""

from __future__ import annotations

# fmt: off
POLYLINES: dict[str, tuple[tuple[int, ...], ...]] = {
    "face_oval": (
        (
            10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
            152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
        ),
    ),
    "lips": (
        (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
        (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
        (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    ),
    "left_eye": (
        (263, 249, 390, 373, 374, 380, 381, 382, 362),
        (263, 466, 388, 387, 386, 385, 384, 398, 362),
    ),
    "right_eye": (
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
    ),
    "left_eyebrow": (
        (276, 283, 282, 295, 285),
        (300, 293, 334, 296, 336),
    ),
    "right_eyebrow": (
        (46, 53, 52, 65, 55),
        (70, 63, 105, 66, 107),
    ),
    "nose": (
        (168, 6, 197, 195, 5, 4, 1, 19, 94, 2),
        (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64, 98),
    ),
}
# fmt: on
"""Polylines of each group, by landmark index; left and right are the subject's."""

IRISES: dict[str, tuple[int, tuple[int, int, int, int]]] = {
    "left_iris": (473, (474, 475, 476, 477)),
    "right_iris": (468, (469, 470, 471, 472)),
}
"""Centre and four rim points of each iris."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "face_oval": (255, 255, 255),
    "lips": (255, 60, 60),
    "left_eye": (60, 255, 60),
    "right_eye": (60, 255, 255),
    "left_eyebrow": (255, 255, 60),
    "right_eyebrow": (255, 160, 60),
    "nose": (255, 60, 255),
    "left_iris": (60, 60, 255),
    "right_iris": (160, 60, 255),
}
"""RGB of each group in a landmark picture (ours; FaceCrafter does not publish its colours)."""
