"""C2PA content credentials: a signature over a picture and its record, with the package c2pa-python.

What the record, the declaration and the watermark cannot do, a signature can: it holds for this picture, and only
whoever has the key can make it. It is optional, since a key that ships with a package proves nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mien.core.io import atomic_path, read_text
from mien.core.optional import require
from mien.errors import BadInput
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE
from mien.provenance.png import FORMATS, read_record
from mien.provenance.record import Record

RECORD_LABEL = "org.mien.record"
"""Assertion with the sha256 of the record's text."""
State = Literal["trusted", "valid", "invalid"]
"""``trusted``: whole, and the signer's certificate leads to an anchor that was given; ``valid``: whole."""
Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]


@dataclass(frozen=True)
class Signature:
    """What a file's content credentials say.

    Attributes:
        state: whether the file is as it was signed.
        signer: who the certificate names.
        source_type: the IPTC term of the action that made the picture, or None.
        record_sha256: of the record that was signed with it, or None.
        problems: codes of what is wrong, as C2PA names them.
    """

    state: State
    signer: str
    source_type: str | None
    record_sha256: str | None
    problems: tuple[str, ...]


def sign(
    source: Path, destination: Path, certificates: Path, key: Path, algorithm: Algorithm = "es256",
    timestamps: str | None = None,
) -> None:  # fmt: skip
    """Write a signed copy of a picture, atomically.

    Args:
        source: a PNG, JPEG or WebP file with mien's record.
        destination: the signed file, of the same format; may be the source.
        certificates: PEM, the signer's first and its issuers after it.
        key: PEM, PKCS #8, of the first certificate.
        algorithm: of the key.
        timestamps: address of a time-stamping service (RFC 3161); nothing is asked when None.

    Raises:
        BadInput: if the file is of another format or has no record, or key and certificates do not fit.
        MissingDependency: without ``c2pa-python``.
    """
    from io import BytesIO

    c2pa = require("c2pa", extra="c2pa")
    form = _media_type(source)
    if _media_type(destination) != form:
        raise BadInput(f"{destination} must end as {source.name} does: signing changes no format.")
    record = read_record(source)
    content = BytesIO()
    try:
        info = c2pa.C2paSignerInfo(
            algorithm.encode(), certificates.read_bytes(), key.read_bytes(),
            None if timestamps is None else timestamps.encode(),
        )  # fmt: skip
        builder = c2pa.Builder(json.dumps(_manifest(record, source)))
        with source.open("rb") as stream:
            builder.sign(c2pa.Signer.from_info(info), form, stream, content)
    except OSError:
        raise
    except Exception as error:  # the library's own classes, one for each stage
        raise BadInput(f"{source} cannot be signed with {certificates} and {key}: {_plain(error)}.") from error
    with atomic_path(destination) as temporary:
        temporary.write_bytes(content.getvalue())


def read_signature(path: Path, anchors: Path | None = None) -> Signature | None:
    """The content credentials of a file; nothing is fetched.

    Args:
        path: a picture.
        anchors: PEM of certificates whose signers are trusted.

    Returns:
        None where the file has none, or is of a format that mien does not sign.

    Raises:
        MissingDependency: without ``c2pa-python``.
    """
    c2pa = require("c2pa", extra="c2pa")
    if path.suffix.lower() not in FORMATS:
        return None
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "verify_trust": anchors is not None}}
    if anchors is not None:
        settings["trust"] = {"user_anchors": read_text(anchors)}
    context = c2pa.Context(settings=c2pa.Settings.from_dict(settings))
    try:
        with path.open("rb") as stream:
            reader = c2pa.Reader(_media_type(path), stream, context=context)
            state, report = str(reader.get_validation_state()).lower(), json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in str(error):
            return None
        return Signature("invalid", "unknown", None, None, (_plain(error),))  # bytes that no longer are credentials
    manifest = report["manifests"][report["active_manifest"]]
    signer = manifest.get("signature_info") or {}
    found = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return Signature(
        cast(State, state if state in ("trusted", "valid") else "invalid"),
        signer.get("common_name") or signer.get("issuer") or "unknown",
        _source_type(manifest),
        next((one["data"].get("sha256") for one in manifest["assertions"] if one["label"] == RECORD_LABEL), None),
        tuple(dict.fromkeys(one["code"] for one in found if one["code"] != "signingCredential.untrusted")),
    )


def record_digest(record: Record) -> str:
    """The sha256 that a signature says of a record."""
    return hashlib.sha256(record.text().encode("utf-8")).hexdigest()


def _manifest(record: Record, source: Path) -> dict[str, Any]:
    """What is signed beside the pixels; no name of a file that the user gave is in it."""
    # "created" for an edit too: "edited" would have to hold the picture that was edited, which is somebody's face
    action = {
        "action": "c2pa.created",
        "digitalSourceType": EDITED_SOURCE_TYPE if "edit" in record.inputs else DIGITAL_SOURCE_TYPE,
        "softwareAgent": {"name": "mien", "version": record.mien},
    }
    return {
        "claim_generator_info": [{"name": "mien", "version": record.mien}],
        "title": f"portrait{source.suffix.lower()}",
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [action]}},
            {"label": RECORD_LABEL, "data": {"sha256": record_digest(record)}},
        ],
    }


def _source_type(manifest: dict[str, Any]) -> str | None:
    for one in manifest["assertions"]:
        if one["label"].startswith("c2pa.actions"):
            for action in one["data"].get("actions", []):
                if action.get("digitalSourceType"):
                    return str(action["digitalSourceType"])
    return None


def _media_type(path: Path) -> str:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise BadInput(f"{path} must be a .png, .jpg or .webp file: other formats are not signed.")
    return f"image/{form.lower()}"


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
