"""The papers' protocols on photographs: which pictures of an imported dataset are shown to a model.

A protocol is a folder: ``identities/`` and ``targets/`` (or ``reference/``), ``protocol.json`` with where each picture
is from and all pairs, and ``requests.jsonl`` for ``mien generate --from``. The papers do not name their pictures; which
ones are chosen, and how, is *inferred*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.core.io import atomic_path, write_json, write_text
from mien.core.progress import Bar, silent
from mien.data.idi.source import Portraits
from mien.data.schema import Sample
from mien.data.shards import encode_png
from mien.errors import BadInput, one_of
from mien.generation.protocol_folder import MANIFEST, REQUESTS


@dataclass(frozen=True)
class RealProtocol:
    """A protocol on photographs.

    Attributes:
        name: of the command line.
        source: the paper and what it says.
        people: identity pictures, one a person.
        targets: target pictures, of other people than the identities.
        each: targets of each person; None for all.
        reference: pictures of a set that outputs are compared with as a whole, in the place of people and targets.
    """

    name: str
    source: str
    people: int = 0
    targets: int = 0
    each: int | None = None
    reference: int = 0


PROTOCOLS: Final[Mapping[str, RealProtocol]] = {
    one.name: one
    for one in (
        RealProtocol("celeba-2000", "FaceCrafter Table 1: 100 people and 100 diverse targets of CelebA, 2,000 pairs.",
                     people=100, targets=100, each=20),
        RealProtocol("synth-500", "FaceCrafter Table 2: 500 pictures of people who do not exist (Arc2Face's protocol).",
                     people=500),
        RealProtocol("agedb-500", "FaceCrafter Table 2: a picture of each of 500 people of AgeDB.", people=500),
        RealProtocol("ffhq-fid", "FaceCrafter Table 1: 2,000 pictures of FFHQ, for the FID.", reference=2000),
        RealProtocol("emojidiff-grid", "EmojiDiff: every person under every template (numbers inferred).",
                     people=20, targets=20),
    )
}  # fmt: skip
_CANDIDATES = 4000
"""Pictures among which diverse targets are looked for."""
_DEGREES, _SHAPES = 20.0, 0.1
"""What counts as one step of difference between two poses and between two expressions, in blendshapes (*ours*)."""


def make_protocol(
    name: str,
    dataset: Path,
    out: Path,
    people: int | None = None,
    targets: int | None = None,
    seed: int = 0,
    bar: Bar = silent,
) -> dict[str, Any]:
    """Choose the pictures of a protocol and write its folder.

    Args:
        name: of the protocol.
        dataset: made by ``mien data import``; pictures whose label says that they are for testing, where any does.
        out: folder.
        people: identities, or pictures of the reference set, in the place of the protocol's number.
        targets: likewise.
        seed: of the choice.
        bar: makes progress bars.

    Returns:
        The manifest.

    Raises:
        BadInput: for another protocol, or if the dataset has too few people.
    """
    if name not in PROTOCOLS:
        raise BadInput(f"There is no protocol {name!r}{one_of(name, PROTOCOLS)}.")
    asked, portraits = PROTOCOLS[name], Portraits(dataset)
    if (out / MANIFEST).exists():
        raise BadInput(f"{out} holds a protocol already: choose another folder with -o.")
    with bar(len(portraits), "choosing") as advance:
        samples = []
        for row in range(len(portraits)):
            samples.append(portraits.sample(row))
            advance(1)
    rows = _testing(samples)
    rng = np.random.default_rng(seed)
    wanted = (asked.reference or asked.people) if people is None else people
    roles: dict[str, list[int]] = {}
    if asked.reference:
        _enough(len(rows), wanted, "pictures", dataset)
        roles["reference"] = sorted(rng.permutation(rows)[:wanted].tolist())
    else:
        count = 0 if not asked.targets else asked.targets if targets is None else targets
        owners = _by_person(samples, rows)
        _enough(len(owners), wanted + (1 if count else 0), "people", dataset)
        order = [list(owners.values())[k] for k in rng.permutation(len(owners)).tolist()]
        roles["identities"] = [_frontal(samples, own) for own in order[:wanted]]
        if count:
            others = [row for own in order[wanted:] for row in own]
            _enough(len(others), count, "pictures of other people", dataset)
            roles["targets"] = diverse(samples, rng.permutation(others)[:_CANDIDATES].tolist(), count)
    files = {role: _write(portraits, chosen, out / role) for role, chosen in roles.items()}
    manifest: dict[str, Any] = {
        "protocol": name, "source": asked.source, "dataset": dataset.name, "seed": seed, "data": portraits.sha256,
        "pictures": {role: [_about(samples[row], file) for row, file in zip(chosen, files[role], strict=True)]
                     for role, chosen in roles.items()},
    }  # fmt: skip
    if "targets" in roles:
        each = min(asked.each or len(roles["targets"]), len(roles["targets"]))
        manifest["pairs"] = pairs_of(len(roles["identities"]), len(roles["targets"]), each)
        _write_requests(out, manifest, [samples[row] for row in roles["targets"]])
    write_json(out / MANIFEST, manifest)  # last: a folder with it is whole
    return manifest


def pairs_of(people: int, targets: int, each: int) -> list[list[int]]:
    """(person, target) of all pairs: each person has ``each`` targets, spread evenly, as in `mien evaluate`."""
    return [
        [person, target]
        for person in range(people)
        for target in sorted((person * each + k) % targets for k in range(each))
    ]


def diverse(samples: Sequence[Sample], rows: Sequence[int], count: int) -> list[int]:
    """Rows whose poses and expressions are as different as can be, a person once where there are enough.

    Farthest-point sampling from the picture nearest to the mean; angles count in steps of 20 degrees, blendshapes of
    0.1.
    """
    features = np.array([_features(samples[row]) for row in rows])
    owners = np.array([samples[row].person for row in rows])
    chosen = [int(np.linalg.norm(features - features.mean(0), axis=1).argmin())]
    far = np.full(len(rows), np.inf)
    for _ in range(count - 1):
        far = np.minimum(far, np.linalg.norm(features - features[chosen[-1]], axis=1))
        far[chosen[-1]] = -1.0
        fresh = np.where(np.isin(owners, owners[chosen]), -1.0, far)
        chosen.append(int((fresh if fresh.max() > 0 else far).argmax()))
    return sorted(rows[place] for place in chosen)


def _features(sample: Sample) -> NDArray[np.float64]:
    if sample.pose_mediapipe is None or sample.blendshapes_mediapipe is None:
        raise BadInput(
            f"{sample.key} has no pose or no blendshapes, by which targets are chosen: import the dataset with  "
            "--reader mediapipe-torch."
        )
    pose, shapes = np.array(sample.pose_mediapipe), np.array(sample.blendshapes_mediapipe)
    return np.concatenate([pose / _DEGREES, shapes / _SHAPES / np.sqrt(len(shapes))])


def _testing(samples: Sequence[Sample]) -> list[int]:
    """Rows that their dataset keeps for testing, or all where it says nothing of the kind."""
    splits = [sample.origin.labels.get("split") if sample.origin else None for sample in samples]
    for split in ("test", "validation"):
        if split in splits:
            return [row for row, one in enumerate(splits) if one == split]
    return list(range(len(samples)))


def _by_person(samples: Sequence[Sample], rows: Sequence[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(samples[row].person, []).append(row)
    return dict(sorted(found.items()))


def _frontal(samples: Sequence[Sample], rows: Sequence[int]) -> int:
    """The picture of a person that looks most into the camera; the first where no pose is known."""
    poses = [samples[row].pose_mediapipe for row in rows]
    return rows[int(np.argmin([0.0 if pose is None else np.hypot(pose[0], pose[1]) for pose in poses]))]


def _enough(there: int, wanted: int, what: str, dataset: Path) -> None:
    if there < wanted:
        raise BadInput(f"{dataset} has {there} {what} and {wanted} are needed: give fewer with --people or --targets.")


def _write(portraits: Portraits, rows: Sequence[int], folder: Path) -> list[str]:
    """Pictures of rows as PNG files; their names have the order first."""
    names = []
    for number, row in enumerate(rows):
        entry = portraits[row]
        names.append(f"{number:04d}-{entry.sample.key}.png")
        with atomic_path(folder / names[-1]) as temporary:
            temporary.write_bytes(encode_png(entry.image))
    return names


def _about(sample: Sample, file: str) -> dict[str, Any]:
    origin = sample.origin
    about = {} if origin is None else {"from": origin.file, "who": origin.who, "read_by": origin.read_by}
    emotion = _ten_numbers(sample)
    return {"file": file, "key": sample.key, **about, **({} if emotion is None else {"emotion": emotion})}


def _ten_numbers(sample: Sample) -> list[float] | None:
    """Valence, arousal and eight probabilities, where they are known."""
    felt = sample.emotion
    if felt is None:
        return None
    total = sum(felt.probabilities)
    return [felt.valence, felt.arousal, *(round(one / total, 5) for one in felt.probabilities)]


def _write_requests(out: Path, manifest: Mapping[str, Any], targets: Sequence[Sample]) -> None:
    """A line for each pair: identity, expression and, where it is known, the target's emotion in ten numbers."""
    identities, expressions = (manifest["pictures"][role] for role in ("identities", "targets"))
    lines = []
    for person, target in manifest["pairs"]:
        line = {
            "id": f"{person:04d}-{target:03d}",
            "identity": f"identities/{identities[person]['file']}",
            "expression": f"targets/{expressions[target]['file']}",
            "seed": person * 1000 + target,
        }
        if (emotion := _ten_numbers(targets[target])) is not None:
            line["emotion"] = emotion
        lines.append(json.dumps(line))
    write_text(out / REQUESTS, "\n".join(lines) + "\n")
