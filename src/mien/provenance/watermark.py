"""An invisible watermark in the pixels: 32 bits that say "made by mien" and which record belongs to the picture.

Spread spectrum (Cox et al. 1997) on a periodic tile (Kalker et al. 1999): seven symbols of 8 bits, four of the id and
three of a checksum, are each one of 256 fixed noise patterns. Their sum and a fixed pattern that tells where the tile
begins are repeated over the picture's luminance, stronger where the picture is busy. The patterns lie between 0.08 and
0.24 cycles a pixel, where JPEG and a picture of half the size keep them, and grow with the frequency, since what a
picture itself shows falls with it. A reader evens out what the picture shows there, adds all tiles up, finds the
beginning and asks of each symbol which pattern fits best; the writer asks the same and helps the patterns that hardly
win (informed embedding, Miller et al. 2004). A reading counts if its patterns fit better than the best of any noise
would, and its checksum too. All numbers are *inferred*; ``benchmarks/mark.py`` measures them.

What it is good for: a picture whose metadata a web site removed, or that was saved again, halved, cut or captured from
a display, can still be recognised. What it is not: proof. It does not survive turning, strong resizing or a determined
remover, anyone can put it into any picture, and a picture without a mark may still be synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput
from mien.provenance.first_watermark import SMALLEST_SIDE, Watermark, detect_first, embed_first

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SMALLEST_SIDE", "Watermark", "detect_watermark", "embed_watermark"]

TILE = 128
"""Side in pixels of what is repeated."""
BAND = (0.08, 0.24)
"""Spatial frequencies of the patterns, cycles a pixel; half the size keeps those below 0.25."""
SYMBOLS, ALPHABET, CHECKS = 7, 256, 3
"""Symbols in a mark, patterns for each, and symbols that are the checksum: by chance one in 2^24 fits."""
BEGINNING = 1.5
"""Amplitude of the pattern that tells where the tile begins, in that of one symbol's."""
CALM, BUSY = 1.1, 0.35
"""Amplitude in grey levels where the picture is flat, and what each level of local deviation adds to it."""
STRONGEST = 4.0
"""Largest amplitude, grey levels."""
PSNR = 40.5
"""Least ratio to the unmarked picture, dB, before levels are rounded: what would be stronger is made weaker."""
SMALL, SMALL_PSNR = 256, 41.3
"""Pictures with a shorter side carry the mark of mien 0.1.0 too, since this one cannot be read in every one of them;
and the ratio there, so that both together keep 40 dB."""
OUTLIER = 1.2
"""Local deviations beyond which the reader clips what a picture shows: an edge does not outvote its surroundings."""
ROUNDS, PACE, MARGIN = 12, 0.15, 8.0
"""Rounds in which a mark is fitted to its picture, the pace of that, and by how many deviations a pattern is to win."""
SCALES = (1.0, 2.0, 0.5, 1.5, 4 / 3, 1 / 1.25, 1 / 1.5)
"""How much smaller the picture may have been made, in the order in which it is tried; below 1 are the screenshots of
displays that enlarge what they show to 200, 125 and 150 %."""
PLACES = 3
"""Places at which the tile may begin that are tried for each scale, besides the picture's own corner."""
MENDED = 3
"""Symbols that may be the second best, of which 64 combinations are tried."""
FIT = 9.0
"""Least fit of a reading, see `_fit`: the best patterns of noise reach 7.5 with a deviation of 0.4."""
MOST = 768
"""Side in pixels of the middle of a large picture, which is read alone: 36 tiles are enough."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_REACH = 8
"""Pixels over which the local deviation is taken, and by which a picture is continued beyond its edge."""

Plane = NDArray[np.float32]


def embed_watermark(image: Image.Image, watermark_id: str) -> Image.Image:
    """Put a mark into a picture.

    Args:
        image: RGB picture, shorter side at least ``SMALLEST_SIDE``.
        watermark_id: 8 hex digits.

    Returns:
        A new RGB picture, PSNR to the old one at least 40 dB. The same picture and id give the same bytes.

    Raises:
        BadInput: if the picture is too small or the id is not 8 hex digits.

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import detect_watermark, embed_watermark
        >>> detect_watermark(embed_watermark(Image.open("me.jpg"), "0123abcd")).id
        '0123abcd'
    """
    from PIL import Image as Pictures

    if min(image.size) < SMALLEST_SIDE:
        raise BadInput(
            f"A picture of {image.width}x{image.height} is too small for a mark: use {SMALLEST_SIDE} px or more."
        )
    pixels = np.asarray(image.convert("RGB"), np.float32)
    symbols = _symbols(watermark_id)
    code, strength = _code(symbols), np.minimum(CALM + BUSY * _deviation(pixels @ _LUMA), STRONGEST)
    small, marked = min(image.size) < SMALL, pixels
    for _ in range(ROUNDS):
        marked = _marked(pixels, code, strength, SMALL_PSNR if small else PSNR)
        change = _towards(symbols, _spectrum(marked[:MOST, :MOST] @ _LUMA))
        if change is None:
            break
        code = code + change
    found = Pictures.fromarray(marked.astype(np.uint8), "RGB")
    return embed_first(found, watermark_id) if small else found


def _marked(pixels: Plane, code: NDArray[np.complex64], strength: Plane, least: float) -> Plane:
    """Whole levels [H, W, 3] of a picture with a mark of given strength in grey levels [H, W], and the least PSNR."""
    height, width = strength.shape
    change = np.tile(_tile(code), (-(-height // TILE), -(-width // TILE)))[:height, :width] * strength
    change *= min(1.0, 255 / 10 ** (least / 20) / max(float(np.sqrt(np.mean(change**2))), 1e-6))
    return np.clip(np.rint(pixels + change[..., None]), 0, 255)


def _towards(symbols: list[int], spectrum: NDArray[np.complex64]) -> NDArray[np.complex64] | None:
    """What to add to a code so that what the picture itself shows is not taken for another; None if nothing is needed.

    Informed embedding (Miller et al. 2004): more of each pattern that hardly wins, less of the one that nearly won.
    """
    patterns, beginning = _patterns()
    # not by the product of matrices, whose threads are late where other programs keep the cores busy
    scores = np.einsum("sak,k->sa", _patterns_in_parts(), np.concatenate([spectrum.real, spectrum.imag]))
    spread = scores.std(1)
    wanted = scores[range(SYMBOLS), symbols].copy()
    scores[range(SYMBOLS), symbols] = -np.inf
    others = scores.argmax(1)
    lacking = np.maximum(MARGIN - (wanted - scores[range(SYMBOLS), others]) / (spread + 1e-9), 0)
    likeness = _tile(spectrum * beginning.conj())
    begins = max(MARGIN - (float(likeness[0, 0]) - float(np.delete(likeness.ravel(), 0).max())), 0.0)
    if not lacking.any() and not begins:
        return None
    steps = np.minimum(lacking * PACE, 1.0).astype(np.float32)
    change = (steps[:, None] * (patterns[range(SYMBOLS), symbols] - 0.5 * patterns[range(SYMBOLS), others])).sum(0)
    return change + np.float32(min(begins * PACE, 1.0)) * beginning


def detect_watermark(image: Image.Image) -> Watermark | None:
    """Look for a mark, also for one of mien 0.1.0; ``None`` if there is none.

    For 28 places and scales 64 readings are tried. One counts if it fits the picture better than chance does, which few
    readings of unmarked pictures do, and if a checksum of 24 bits fits: odds of less than one in a million
    (``benchmarks/results/mark.json`` holds what was measured).

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import detect_watermark
        >>> print(detect_watermark(Image.open("friend.jpg")))
        None
    """
    if min(image.size) < SMALLEST_SIDE // 2:
        return None
    image = image.convert("RGB")
    for scales in (SCALES[:1], SCALES[1:]):  # most pictures with a mark are done after the first
        found = _read(np.concatenate([_begun(_spectrum(_luminance(image, scale))) for scale in scales], 1))
        if found is not None:
            return found
    return detect_first(image)


def _luminance(image: Image.Image, scale: float) -> Plane:
    """The luminance [H, W] of the middle of a picture, enlarged by a factor."""
    from PIL import Image as Pictures

    width, height = image.size
    left, top = (max(0, round(side - MOST / scale) // 2) for side in (width, height))
    image = image.crop((left, top, width - left, height - top))
    if scale != 1:
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Pictures.Resampling.BICUBIC
        )
    return np.asarray(image, np.float32) @ _LUMA


def _symbols(watermark_id: str) -> list[int]:
    try:
        content = bytes.fromhex(watermark_id)
    except ValueError:
        content = b""
    if len(watermark_id) != 8 or len(content) != 4:
        raise BadInput(f"The id of a mark is 8 hex digits, not {watermark_id!r}.")
    return [*content, *_checksum(content)]


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(b"mien" + content).digest()[:CHECKS]


@cache
def _places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the K coefficients of a tile's spectrum (as `rfft2` gives it) that carry the mark."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE), np.fft.rfftfreq(TILE), indexing="ij"))
    inside = (frequency >= BAND[0]) & (frequency <= BAND[1])
    inside[:, 0] = False  # these would have to be their own mirror images
    rows, columns = np.nonzero(inside)
    return rows, columns


@cache
def _frequency() -> NDArray[np.float32]:
    """Of those coefficients [K], in the highest one's."""
    rows, columns = _places()
    return (np.hypot(np.fft.fftfreq(TILE)[rows], columns / TILE) / BAND[1]).astype(np.float32)


@cache
def _patterns() -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Spectra of the symbols' patterns [7, 256, K] and of that of the beginning [K]: their modulus is the frequency."""
    generator = np.random.Generator(np.random.PCG64(0x6D69656E))
    phases = generator.random((SYMBOLS * ALPHABET + 1, len(_places()[0])), np.float32)
    spectra = (np.exp(2j * np.pi * phases) * _frequency() / np.sqrt(np.mean(_frequency() ** 2))).astype(np.complex64)
    return spectra[:-1].reshape(SYMBOLS, ALPHABET, -1), spectra[-1]


@cache
def _patterns_in_parts() -> NDArray[np.float32]:
    """The symbols' patterns [7, 256, 2K], real parts before imaginary ones."""
    patterns = _patterns()[0]
    return np.concatenate([patterns.real, patterns.imag], -1)


def _scores(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """How well each pattern fits some tiles [K, N]: real part of the scalar product [7, 256, N]."""
    return _patterns_in_parts() @ np.concatenate([spectra.real, spectra.imag])


def _code(symbols: list[int]) -> NDArray[np.complex64]:
    """Spectrum [K] of a mark."""
    patterns, beginning = _patterns()
    return patterns[range(SYMBOLS), symbols].sum(0) + np.float32(BEGINNING) * beginning


def _tile(code: NDArray[np.complex64]) -> Plane:
    """The tile [T, T] of a spectrum [K], mean square 1."""
    spectrum = np.zeros((TILE, TILE // 2 + 1), np.complex64)
    spectrum[_places()] = code
    tile = np.fft.irfft2(spectrum, (TILE, TILE))
    return (tile / max(float(np.sqrt(np.mean(tile**2))), 1e-12)).astype(np.float32)


def _band(plane: Plane) -> Plane:
    """The patterns' band of a picture [H, W], weighted by frequency, which makes what pictures show there even.

    Edges are continued by reflection.
    """
    padded = np.pad(plane, _REACH, mode="reflect")
    inside = slice(_REACH, -_REACH)
    return np.fft.irfft2(np.fft.rfft2(padded) * _passed(*padded.shape), padded.shape)[inside, inside].astype(np.float32)


@lru_cache(maxsize=16)
def _passed(height: int, width: int) -> NDArray[np.float32]:
    """What the band keeps of each frequency of a picture, as `rfft2` gives them."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij"))
    return np.where((frequency >= BAND[0]) & (frequency <= BAND[1]), frequency / BAND[1], 0).astype(np.float32)


def _deviation(plane: Plane) -> Plane:
    """Root mean square of a picture's band around each pixel [H, W]."""
    return np.sqrt(_mean_around(_band(plane) ** 2))


def _mean_around(plane: Plane) -> Plane:
    """Mean over a square of 2 * `_REACH` + 1 pixels around each pixel."""
    padded = np.pad(plane.astype(np.float64), ((_REACH + 1, _REACH), (_REACH + 1, _REACH)), mode="reflect")
    sums = padded.cumsum(0).cumsum(1)
    side = 2 * _REACH + 1
    found = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.maximum(found / side**2, 0).astype(np.float32)


def _whitened(plane: Plane) -> Plane:
    """The band of a picture in units of its local deviation, clipped: no busy part and no edge outvotes the rest."""
    band = _band(plane)
    return np.clip(band / (np.sqrt(_mean_around(band**2)) + np.float32(1.0)), -OUTLIER, OUTLIER)


def _spectrum(plane: Plane) -> NDArray[np.complex64]:
    """What a picture's luminance [H, W] holds of a tile: spectrum [K], weighted by how clear each frequency is."""
    return (np.fft.rfft2(_folded(_whitened(plane)))[_places()] * _frequency()).astype(np.complex64)


def _folded(plane: Plane) -> Plane:
    """All tiles of a picture added up [T, T]."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % TILE), (0, -width % TILE)))
    return padded.reshape(padded.shape[0] // TILE, TILE, -1, TILE).sum((0, 2), dtype=np.float32)


def _begun(spectrum: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The spectra [K, places] of a tile [K] that begins at the corner, and where it most likely does."""
    likeness = _tile(spectrum * _patterns()[1].conj())
    likeness[0, 0] = np.inf  # of a picture that was not cut
    likely = np.argpartition(-likeness, PLACES, axis=None)[: PLACES + 1]
    begins, (rows, columns) = np.stack(np.divmod(likely, TILE)), _places()
    turns = (np.outer(rows, begins[0]) + np.outer(columns, begins[1])) / TILE
    return spectrum[:, None] * np.exp(2j * np.pi * turns).astype(np.complex64)


def _nearly(best: list[int], second: list[int]) -> Iterator[list[int]]:
    """The symbols that fit best, then all with one or two that fit second best."""
    for count in range(MENDED + 1):
        for places in combinations(range(SYMBOLS), count):
            yield [second[place] if place in places else symbol for place, symbol in enumerate(best)]


def _read(spectra: NDArray[np.complex64]) -> Watermark | None:
    """The mark of the first of some tiles [K, N] of which a reading fits and has the right checksum."""
    scores = _scores(spectra)
    scores /= scores.std(1, keepdims=True) + np.float32(1e-9)
    for place in np.flatnonzero(scores.max(1).sum(0) >= FIT * np.sqrt(SYMBOLS)):
        second, best = scores[..., place].argsort(1)[:, -2:].T.tolist()
        for symbols in _nearly(best, second):
            content = bytes(symbols[:-CHECKS])
            if _fit(scores[..., place], symbols) >= FIT and bytes(symbols[-CHECKS:]) == _checksum(content):
                return Watermark(content.hex(), _strength(spectra[:, place], symbols))
    return None


def _strength(spectrum: NDArray[np.complex64], symbols: list[int]) -> float:
    """Cosine of a tile's spectrum [K] and that of a mark."""
    code = _code(symbols)
    likeness = float(np.vdot(code, spectrum).real / (np.linalg.norm(code) * np.linalg.norm(spectrum) + 1e-9))
    return round(min(max(likeness, 0.0), 1.0), 3)


def _fit(scores: NDArray[np.float32], symbols: list[int]) -> float:
    """How well symbols fit a tile [7, 256], in standard deviations of the sum of as many patterns that nobody chose."""
    return float(scores[range(SYMBOLS), symbols].sum() / np.sqrt(SYMBOLS))
