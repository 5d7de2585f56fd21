"""``mien data join``: several datasets as one, in which no two people share a number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from mien.core.io import write_json
from mien.core.progress import Bar, silent
from mien.data.decoding import ARCFACE
from mien.data.importing.embeddings import JOINED, arcface_files
from mien.data.shards import ShardWriter, read_packed, shard_name, shard_paths
from mien.errors import BadInput


def join(folders: Sequence[Path], out: Path, bar: Bar = silent) -> tuple[int, int]:
    """Write the portraits of some datasets, shard by shard, people renumbered, pictures as they are.

    Args:
        folders: datasets, at least two, of pictures of one size.
        out: folder of the new one, which holds none.
        bar: makes progress bars.

    Returns:
        Pictures and people.

    Raises:
        BadInput: if a folder holds no shards, or the new one does.
    """
    if len(folders) < 2:
        raise BadInput("Give two datasets or more to join.")
    for folder in folders:
        if not shard_paths(folder):
            raise BadInput(f"No shards in {folder}; check the path.")
    if shard_paths(out):
        raise BadInput(f"{out} holds a dataset already: choose another folder with -o.")
    people: dict[tuple[int, int], int] = {}
    numbers, pictures = count(), 0
    with bar(sum(len(shard_paths(folder)) for folder in folders), "joining") as advance:
        for place, folder in enumerate(folders):
            for path in shard_paths(folder):
                with ShardWriter(out / shard_name(next(numbers))) as writer:
                    for packed in read_packed(path):
                        person = people.setdefault((place, packed.sample.person), len(people))
                        writer.write_files(packed.sample.model_copy(update={"person": person}), packed.files)
                        pictures += 1
                advance(1)
    about = {"from": [folder.name for folder in folders], "pictures": pictures, "people": len(people)}
    networks = {digest for folder in folders for digest in arcface_files(folder)}
    write_json(out / JOINED, about | {ARCFACE: sorted(networks)})
    return pictures, len(people)
