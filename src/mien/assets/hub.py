"""The files that an asset takes from a repository on the Hugging Face hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.assets.checks import Expected, expected
from mien.assets.fetch import hub_endpoint, hub_is_off
from mien.assets.lookup import folder_by_hand
from mien.assets.problems import DownloadFailed, disk_problem, is_of_the_disk, make_room
from mien.assets.registry import Asset, AssetFile
from mien.assets.transfer import alone
from mien.errors import MienError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


INCOMING = ".incoming"
"""Folder, in the asset's own, that holds what has not been checked: a process killed there leaves nothing unchecked."""


def fetch_from_hub(one: Asset, files: list[AssetFile], folder: Path, here: Callable[[AssetFile], None]) -> None:
    """Bring files of the asset's repository into ``folder``, at their paths in the repository, each checked first.

    The hub's own library transfers them, so it knows the user's login, mirrors and interrupted downloads. The files are
    named one by one and fetched one after the other: no pickle can come along, and Ctrl-C acts at once, which it does
    not while ``snapshot_download``'s threads are busy. An older file stays until the new one is checked.

    Args:
        one: an asset with a hub.
        files: those of its files that are missing or wrong.
        folder: the asset's folder.
        here: called with each file as soon as it is in its place.

    Raises:
        DownloadFailed: if the hub is off, cannot be reached or does not give them, or gives something else.
        MienError: if the disk is full or cannot be written, or another process is fetching the same asset.
    """
    assert one.hub is not None
    repo = f"{one.hub.repo} at {one.hub.revision[:12]}"
    if hub_is_off():
        raise DownloadFailed(
            f"Cannot get {one.name}: the hub is switched off by HF_HUB_OFFLINE; unset it, or put the files into "
            f"{folder_by_hand(one)}."
        )
    import huggingface_hub

    try:
        api = huggingface_hub.HfApi(endpoint=hub_endpoint())
        there = {sibling.rfilename: sibling for sibling in _listing(api, one)}
        absent = [file.name for file in files if file.name not in there]
        if absent:
            raise DownloadFailed(f"Cannot get {one.name}: {repo} has no {absent[0]}; a newer mien may know better.")
        make_room(folder, sum(there[file.name].size or 0 for file in files))
        incoming = folder / INCOMING
        incoming.mkdir(exist_ok=True)
        part = incoming / f"{one.name}.part"
        with part.open("ab") as stream:
            alone(stream, part)
            for file in files:
                huggingface_hub.hf_hub_download(
                    one.hub.repo, file.name, revision=one.hub.revision, local_dir=incoming, endpoint=hub_endpoint()
                )
                _check(one, file, incoming / file.name, there)
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                (incoming / file.name).replace(folder / file.name)
                here(file)
        shutil.rmtree(incoming, ignore_errors=True)
    except MienError:
        raise
    except Exception as error:  # each release of the library has classes of its own for errors of the network
        raise _as_sentence(error, one, folder) from error


def _listing(api: HfApi, one: Asset) -> list[Any]:
    assert one.hub is not None
    return api.model_info(one.hub.repo, revision=one.hub.revision, files_metadata=True).siblings or []


def _check(one: Asset, file: AssetFile, path: Path, there: Mapping[str, Any]) -> None:
    """Against the registry or the first download, and against the hash that the hub announces for large files."""
    known = expected(one, file)
    lfs = there[file.name].lfs
    announced = known if lfs is None else Expected(lfs.sha256, None, None, lfs.size, known.lock)
    complaint = known.complaint(path) or announced.complaint(path)
    if complaint:
        path.unlink()
        raise DownloadFailed(f"Cannot get {one.name}: the hub sent another {file.name} ({complaint}); it was deleted.")


def _as_sentence(error: Exception, one: Asset, folder: Path) -> MienError:
    assert one.hub is not None
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        page = f"{hub_endpoint()}/{one.hub.repo}"
        return DownloadFailed(f"Cannot get {one.name}: {page} wants a login: accept its terms, then  hf auth login.")
    if status is not None:
        return DownloadFailed(f"Cannot get {one.name}: {hub_endpoint()} answers {status} for {one.hub.repo}.")
    if isinstance(error, OSError) and is_of_the_disk(error):
        return disk_problem(error, folder)
    words = " ".join(str(error).split()) or type(error).__name__
    return DownloadFailed(f"Cannot get {one.name} from {hub_endpoint()}; check the network ({words[:200]}).")
