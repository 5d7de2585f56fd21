import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mien.data.schema import Sample
from mien.data.shards import Entry, ShardWriter, read_shard, shard_paths
from mien.errors import BadInput


def record(person: int = 7, picture: int = 3, **changes: object) -> dict:
    values: dict = {
        "person": person,
        "picture": picture,
        "caption": "portrait of a person",
        "coefficients": [0.25] * 53,
        "gaze": [1.5, -2.0],
        "flush": 0.1,
        "pose": [10.0, -3.0, 1.0],
        "landmarks": [[1.25, 2.5, -3.0]] * 478,
        "emotion": {"probabilities": [1.0] + [0.0] * 7, "valence": 0.0, "arousal": 0.0},
        "attributes": {
            "skin_tone": 0.3, "skin_band": 1, "age": 40.0, "gender": -0.5, "hair_style": "short",
            "hair_color": "brown", "hair_length": "short", "beard": "none", "glasses": "none", "background": "teal",
            "clothing": "red hoodie", "light": "light from the left",
        },
    }  # fmt: skip
    values.update(changes)
    return values


def test_record_survives_json() -> None:
    sample = Sample.checked(**record())
    assert Sample.parsed(sample.to_json(), "it") == sample
    assert sample.key == "0000007-003" and sample.landmarks_mediapipe is None


@pytest.mark.parametrize(
    "changes",
    [
        {"smell": "nice"},
        {"coefficients": [0.0] * 52},
        {"coefficients": [2.0] * 53},
        {"landmarks": [[0.0, 0.0, 0.0]] * 468},
        {"landmarks": [[float("nan"), 0.0, 0.0]] * 478},
        {"flush": 2.0},
        {"attributes": {"hair_style": "short"}},
        {"attributes": {**record()["attributes"], "shoes": "red"}},
    ],
)
def test_wrong_records_are_refused(changes: dict) -> None:
    with pytest.raises(BadInput):
        Sample.checked(**record(**changes))
    with pytest.raises(BadInput, match=r"^it: "):
        Sample.parsed(json.dumps(record(**changes)), "it", BadInput)


def test_shard_round_trip_is_exact_and_repeatable(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 16, 16, 3), np.uint8)
    mask = np.full((16, 16), 255, np.uint8)
    for name in ("shard-00000.tar", "shard-00001.tar"):
        with ShardWriter(tmp_path / name) as writer:
            for i, image in enumerate(images):
                writer.write(Entry(image, None if i == 1 else mask, Sample.checked(**record(picture=i))))
    first, second = shard_paths(tmp_path)
    assert first.read_bytes() == second.read_bytes()
    entries = list(read_shard(first))
    assert [e.sample.picture for e in entries] == [0, 1, 2]
    assert all((e.image == image).all() for e, image in zip(entries, images, strict=True))
    assert entries[1].mask is None and (entries[0].mask == mask).all()


def test_failed_shard_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path / "shard-00000.tar") as writer:
        writer.write(Entry(np.zeros((8, 8, 3), np.uint8), None, Sample.checked(**record())))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_broken_shards_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.tar"
    with ShardWriter(path) as writer:
        for i in range(3):
            writer.write(Entry(np.zeros((8, 8, 3), np.uint8), None, Sample.checked(**record(picture=i))))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadInput):
        list(read_shard(path))
    path.write_bytes(b"no tar at all")
    with pytest.raises(BadInput, match="render it again"):
        list(read_shard(path))


def _written(path: Path) -> tuple[bytes, list[tarfile.TarInfo]]:
    """The bytes of a shard of three portraits, and its members."""
    with ShardWriter(path) as writer:
        for i in range(3):
            writer.write(Entry(np.full((8, 8, 3), i, np.uint8), None, Sample.checked(**record(picture=i))))
    with tarfile.open(path) as tar:
        return path.read_bytes(), tar.getmembers()


def test_a_shard_that_ends_between_portraits_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.tar"
    data, members = _written(path)
    second = next(member.offset for member in members if member.name == "0000007-001.png")
    end = members[-1].offset_data + -(-members[-1].size // 512) * 512
    for cut in (second, second + 100, second + 512, end, end + 512, end + 1023):
        path.write_bytes(data[:cut])
        with pytest.raises(BadInput, match="not a whole shard"):
            list(read_shard(path))
    path.write_bytes(data[: end + 1024])  # whole, without the padding that most programs add
    assert len(list(read_shard(path))) == 3


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_shard_packed_again_with_its_folder_holds_the_same_portraits(tmp_path: Path, form: int) -> None:
    path, again = tmp_path / "shard-00000.tar", tmp_path / "shard-00001.tar"
    _, members = _written(path)
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    with tarfile.open(path) as old, tarfile.open(again, "w", format=form, pax_headers={"comment": "ours"}) as new:
        new.addfile(folder)
        for member in members:
            content = old.extractfile(member)
            member.name = f"./{member.name}"
            new.addfile(member, content)
    for one, other in zip(read_shard(path), read_shard(again), strict=True):
        assert one.sample == other.sample and (one.image == other.image).all()


def test_a_pair_keeps_its_template(tmp_path: Path) -> None:
    image, template = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 9, np.uint8)
    told = {"source": "oracle", "person": 7, "landmarks": [[1.0, 2.0, 0.5]] * 478}
    pair = Sample.checked(**record(template=told))
    with ShardWriter(tmp_path / "shard-00000.tar") as writer:
        writer.write(Entry(image, None, pair, template))
    (entry,) = read_shard(tmp_path / "shard-00000.tar")
    assert entry.sample.template is not None and entry.sample.template.person == 7
    assert entry.template is not None and (entry.template == 9).all() and entry.mask is None
    with ShardWriter(tmp_path / "shard-00001.tar") as writer:
        writer.write(Entry(image, None, pair))
    with pytest.raises(BadInput, match="lacks its template's picture"):
        list(read_shard(tmp_path / "shard-00001.tar"))


def test_records_from_before_there_was_headwear_are_read() -> None:
    old = record()
    assert "headwear" not in old["attributes"]
    attributes = Sample.parsed(json.dumps(old), "it").attributes
    assert attributes is not None and (attributes.headwear, attributes.headwear_color) == ("none", "none")
    new = record(attributes=old["attributes"] | {"headwear": "hat", "headwear_color": "red"})
    changed = Sample.checked(**new).attributes
    assert changed is not None and changed.headwear == "hat"
