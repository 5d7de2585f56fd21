"""What a rendered data set consists of, and the file that says so (`dataset.json`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from mien.core.io import claim, read_json
from mien.data.shards import shard_name
from mien.errors import BadInput, ConfigError
from mien.provenance.fingerprint import UNKNOWN, version_of
from mien.studio.plans import PHOTO_LIKE

SAMPLER = 2
"""Raised whenever the same request would draw other people, pictures or expressions."""
SETTINGS_FILE = "dataset.json"
SHARD_PICTURES = 512
"""About how many pictures a shard holds."""


@dataclass(frozen=True)
class DatasetRequest:
    """Everything the bytes of a data set depend on.

    Attributes:
        people: number of people, with seeds `first_seed` and up.
        per_person: pictures of each; numbers 0, 1 and 2 look like photographs, the others cover everything.
        first_seed: seed of the first person.
        size: side of the pictures in px.
        read: whether MediaPipe reads every picture.
        kit_sha256: hash of the face kit's file.
        templates: whether each picture comes with its expression on another person.
        portraits: not the pictures, but a photograph of the same look for each that does not look like one already.
        reader_sha256: hash of MediaPipe's model; empty where it does not read.
        sampler: version of what draws people and pictures.
    """

    people: int
    per_person: int
    first_seed: int
    size: int
    read: bool
    kit_sha256: str
    templates: bool = False
    portraits: bool = False
    reader_sha256: str = ""
    sampler: int = SAMPLER

    def __post_init__(self) -> None:
        if self.people < 1 or self.per_person < 1:
            raise BadInput("Ask for at least one person and one picture of each.")
        if self.first_seed < 0 or self.size < 16:
            raise BadInput("The first seed must not be negative, and pictures need at least 16 px.")
        if not self.numbers:
            raise BadInput(
                f"The first {PHOTO_LIKE} pictures of a person are portraits themselves: ask for more of each."
            )
        if self.per_person > 1000 or self.first_seed + self.people > 10_000_000:
            raise BadInput("At most 1000 pictures a person and seeds below 10,000,000: keys have that many digits.")

    @property
    def people_per_shard(self) -> int:
        """People whose pictures share a shard."""
        return max(1, SHARD_PICTURES // self.per_person)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.people // self.people_per_shard)

    @property
    def numbers(self) -> range:
        """Numbers of each person's pictures."""
        return range(PHOTO_LIKE if self.portraits else 0, self.per_person)

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return self.people * len(self.numbers)

    def seeds(self, shard: int) -> range:
        """Seeds of the people in a shard: a matter of the request alone, never of the number of workers."""
        first = self.first_seed + shard * self.people_per_shard
        return range(first, min(first + self.people_per_shard, self.first_seed + self.people))


def _versions() -> dict[str, str]:
    """Of the packages that decide what is drawn and read, and are installed."""
    found = {package: version_of(package) for package in ("mien", "numpy", "moderngl", "mediapipe")}
    return {package: version for package, version in found.items() if version != UNKNOWN}


def claim_folder(folder: Path, request: DatasetRequest) -> None:
    """Write `dataset.json`, or check that the one in the folder asks for the same pictures.

    Raises:
        ConfigError: if the folder belongs to another request, or other versions would render what is missing.
    """
    wanted = asdict(request)
    file = {"format": 1, "request": wanted, "shards": request.shards, "versions": _versions()}
    before = {"templates": False, "portraits": False, "reader_sha256": request.reader_sha256, "sampler": 1}
    claim(folder / SETTINGS_FILE, wanted, "another data set", file, defaults=before)
    if not all((folder / shard_name(shard)).exists() for shard in range(request.shards)):
        _check_versions(folder, request)


def _check_versions(folder: Path, request: DatasetRequest) -> None:
    """Refuse to render on with other versions than a data set was begun with."""
    begun, now = read_json(folder / SETTINGS_FILE).get("versions", {}), _versions()
    others = [
        f"{package} {version} (here {now[package]})"
        for package, version in begun.items()
        if now.get(package, version) != version and (request.read or package != "mediapipe")
    ]
    if others:
        raise ConfigError(
            f"{folder} was begun with {', '.join(others)}: install what it was begun with to finish it, or render into "
            "another folder."
        )
