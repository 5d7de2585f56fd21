"""The mark of mien 0.1.0, which small pictures carry still, beside that of `mien.provenance.watermark`.

Quantisation index modulation (Chen and Wornell 2001) of luminance DCT coefficients: each 8x8 block has ``POSITIONS``
low and middle frequencies, each coefficient is moved to the nearest point of one of two interleaved lattices, and which
lattice is one bit. A code word of 56 bits (8 fixed bits, the 32 of the id, 16 of a checksum) is repeated over the whole
picture in a fixed pseudo-random order, so a reader sums many votes for each bit. All numbers are *inferred*. What a
picture shows does not disturb it, so it is read in any picture of 64 px that was not changed much; neither cropping nor
resizing leaves anything of it.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput

if TYPE_CHECKING:
    from PIL import Image

BLOCK = 8
STEP = 8.0
"""Distance of two points of one lattice, in orthonormal luminance DCT units: visibility against robustness."""
POSITIONS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0), (1, 3), (3, 1))
"""(row, column) of the coefficients that carry bits: low enough for JPEG to keep, without the block's mean."""
MAGIC = 0b10110101
"""The fixed bits; they also name the version of this scheme."""
CODE_BITS = 8 + 32 + 16
SMALLEST_SIDE = 64
"""Pictures with a shorter side hold too few blocks for a mark that can be read."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Watermark:
    """A mark that was found.

    Attributes:
        id: 8 hex digits, the beginning of the record's sha256.
        strength: mean agreement of the votes with the code word, 0 (chance) to 1 (untouched pixels).

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import detect_watermark, embed_watermark
        >>> found = detect_watermark(embed_watermark(Image.open("me.jpg"), "0123abcd"))
        >>> found.id, found.strength > 0.5
        ('0123abcd', True)
    """

    id: str
    strength: float


def embed_first(image: Image.Image, watermark_id: str) -> Image.Image:
    """Put a mark as mien 0.1.0 did into a picture.

    Args:
        image: RGB picture, shorter side at least ``SMALLEST_SIDE``.
        watermark_id: 8 hex digits.

    Returns:
        A new RGB picture; PSNR to the old one about 47 dB at 128 px. The same picture and id give the same bytes.

    Raises:
        BadInput: if the id is not 8 hex digits.
    """
    from PIL import Image as Pictures

    pixels = np.asarray(image.convert("RGB"), np.float32)
    bits = _code_word(watermark_id)
    marked = pixels
    # clipping at black and white and rounding to bytes undo part of the change, so it is applied again to the result
    for _ in range(3):
        coefficients = _coefficients(marked)
        moved = _quantise(coefficients, bits)
        change = np.zeros((*coefficients.shape[:2], BLOCK, BLOCK), np.float32)
        rows, columns = np.array(POSITIONS).T
        change[:, :, rows, columns] = moved - coefficients
        marked = np.clip(np.rint(marked + _to_pixels(change, pixels.shape[:2])[..., None]), 0, 255)
    return Pictures.fromarray(marked.astype(np.uint8), "RGB")


def detect_first(image: Image.Image) -> Watermark | None:
    """Look for a mark of mien 0.1.0; ``None`` if there is none.

    The fixed bits and the checksum are 24 bits that must all agree, so an unmarked picture passes with odds of about
    6 in 100 million (``benchmarks/results/mark.json`` holds what was measured).
    """
    if min(image.size) < SMALLEST_SIDE:
        return None
    coefficients = _coefficients(np.asarray(image.convert("RGB"), np.float32))
    order, dither = _layout(coefficients.shape)
    phase = 2 * np.pi * (coefficients - dither) / STEP
    # +1 on the lattice of a zero bit, -1 on the lattice of a one bit
    votes = np.cos(phase)
    sums = np.bincount(order.ravel(), weights=votes.ravel(), minlength=CODE_BITS)
    counts = np.bincount(order.ravel(), minlength=CODE_BITS)
    bits = (sums < 0).astype(np.uint8)
    fixed, payload, checksum = (int("".join(map(str, part)), 2) for part in np.split(bits, [8, 40]))
    if fixed != MAGIC or checksum != _checksum(payload):
        return None
    return Watermark(f"{payload:08x}", round(float(np.abs(sums / counts).mean()), 3))


def _checksum(payload: int) -> int:
    return binascii.crc_hqx(payload.to_bytes(4, "big"), MAGIC)


@cache
def _basis() -> NDArray[np.float32]:
    """Orthonormal DCT-II matrix [8, 8]."""
    k, n = np.mgrid[:BLOCK, :BLOCK]
    basis = np.cos(np.pi * (2 * n + 1) * k / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


@cache
def _layout(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which bit each coefficient carries, and the shift of its lattice, both of ``shape`` [rows, columns, positions].

    Every run of `CODE_BITS` coefficients holds each bit once, in its own order, so each bit is spread evenly.
    """
    total = int(np.prod(shape))
    generator = np.random.Generator(np.random.PCG64(0x6D69656E))
    runs = -(-total // CODE_BITS)
    order = np.argsort(generator.random((runs, CODE_BITS)), axis=1).ravel()[:total].reshape(shape)
    dither = (generator.random(total, np.float32) * STEP).reshape(shape)
    return order, dither


def _coefficients(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luminance DCT coefficients at `POSITIONS` [rows, columns, positions]; a ragged edge is left out."""
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    luma = (pixels @ _LUMA)[: rows * BLOCK, : columns * BLOCK]
    blocks = luma.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    spectrum = _basis() @ blocks @ _basis().T
    at_rows, at_columns = np.array(POSITIONS).T
    return spectrum[:, :, at_rows, at_columns].astype(np.float32)


def _code_word(watermark_id: str) -> NDArray[np.uint8]:
    try:
        payload = int(watermark_id, 16)
    except ValueError:
        payload = -1
    if len(watermark_id) != 8 or payload < 0:
        raise BadInput(f"The id of a mark is 8 hex digits, not {watermark_id!r}.")
    text = f"{MAGIC:08b}{payload:032b}{_checksum(payload):016b}"
    return np.array([int(bit) for bit in text], np.uint8)


def _quantise(coefficients: NDArray[np.float32], bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each coefficient moved to the nearest point of the lattice of its bit."""
    order, dither = _layout(coefficients.shape)
    origin = dither + bits[order] * (STEP / 2)
    return (np.rint((coefficients - origin) / STEP) * STEP + origin).astype(np.float32)


def _to_pixels(spectrum: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Inverse DCT of [rows, columns, 8, 8] as a picture [H, W], zero at a ragged edge."""
    blocks = _basis().T @ spectrum @ _basis()
    rows, columns = blocks.shape[:2]
    picture = np.zeros(shape, np.float32)
    picture[: rows * BLOCK, : columns * BLOCK] = blocks.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK)
    return picture
