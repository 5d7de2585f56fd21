"""One verdict on where a picture comes from, of everything that its file and pixels say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mien.errors import MissingDependency
from mien.provenance.content_credentials import Signature, read_signature, record_digest
from mien.provenance.png import Found, examine

Finding = Literal[
    "signed", "consistent", "marked", "recorded", "declared", "signed by others", "contradictory", "nothing"
]
MADE_HERE: tuple[Finding, ...] = ("signed", "consistent", "marked", "recorded")
"""Findings that speak for mien; how strongly, `WORDS` says."""
WORDS: dict[Finding, str] = {
    "signed": "made by mien: the signature holds for this picture and its record",
    "consistent": "made by mien, as far as can be told: record and watermark belong together (no proof)",
    "marked": "made by mien: its watermark is in the pixels, the metadata are gone",
    "recorded": "says that mien made it, but no watermark was found: anyone can write such a record",
    "declared": "declares that a trained model made it, and does not say which",
    "signed by others": "has content credentials of another program",
    "contradictory": "was changed, or put together from several pictures: do not trust what it says",
    "nothing": "says nothing of where it comes from, which is no evidence that it is a photograph",
}


@dataclass(frozen=True)
class Verdict:
    """What `verify` found.

    Attributes:
        finding: in one word.
        reasons: what speaks for it, one sentence each.
        found: what file and pixels say.
        signature: its content credentials; None where it has none, or c2pa-python is not installed.

    Example:
        >>> from PIL import Image
        >>> from mien.provenance import Record, Verdict, verify, write_picture
        >>> record = Record(mien="0.1.0", settings={"seed": 3}, index=0, inputs={}, models={}, environment={})
        >>> write_picture("portrait.png", Image.open("me.jpg"), record)
        >>> verdict: Verdict = verify("portrait.png")
        >>> verdict.finding, verdict.made_here
        ('consistent', True)
    """

    finding: Finding
    reasons: tuple[str, ...]
    found: Found
    signature: Signature | None

    @property
    def made_here(self) -> bool:
        """Whether it speaks for mien, with nothing against it."""
        return self.finding in MADE_HERE


def verify(path: Path | str, anchors: Path | None = None) -> Verdict:
    """Judge a picture or video.

    Args:
        path: the file.
        anchors: PEM of certificates whose signers are trusted.

    Raises:
        BadInput: if it is neither a picture nor a video, or its record is damaged.
        MissingDependency: if anchors are given, without ``c2pa-python``.

    Example:
        >>> import mien
        >>> from mien.provenance import verify
        >>> (image,) = mien.generate(identity="me.jpg", steps=2)
        >>> verify(mien.save(image, "portrait.png")).finding
        'consistent'
    """
    path = Path(path)
    found = examine(path)
    try:
        signature = read_signature(path, anchors)
    except MissingDependency:
        if anchors is not None:  # who names certificates wants the signature
            raise
        signature = None
    against = _contradictions(found, signature)
    if against:
        return Verdict("contradictory", tuple(against), found, signature)
    if signature is not None and signature.record_sha256 is not None:
        trust = "trusted" if signature.state == "trusted" else "valid; whether to trust the signer is yours to say"
        return Verdict("signed", (f"signed by {signature.signer}, {trust}",), found, signature)
    if signature is not None:
        return Verdict(
            "signed by others", (f"signed by {signature.signer}, without a record of mien",), found, signature
        )
    if found.watermark_fits:
        return Verdict("consistent", ("the watermark in the pixels is that of the record",), found, None)
    if found.mark is not None:
        return Verdict("marked", (f"watermark {found.mark.id}, strength {found.mark.strength:.2f}",), found, None)
    if found.record is not None:
        return Verdict("recorded", ("the record is there, the watermark is not",), found, None)
    if found.digital_source_type is not None:
        return Verdict("declared", (found.digital_source_type,), found, None)
    return Verdict("nothing", (), found, None)


def _contradictions(found: Found, signature: Signature | None) -> list[str]:
    against = []
    if signature is not None and signature.state == "invalid":
        against.append(f"the signature does not hold: {', '.join(signature.problems) or 'the file was changed'}")
    signed = None if signature is None else signature.record_sha256
    if signed is not None and found.record is not None and signed != record_digest(found.record):
        against.append("the record is not the one that was signed")
    if found.watermark_fits is False:
        against.append("the watermark belongs to another record")
    return against
