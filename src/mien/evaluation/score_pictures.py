"""`mien.score`: the papers' metrics on pictures made by any program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.pairing import Pairs, pair_up, picture_set

if TYPE_CHECKING:
    from mien.media.pictures import PictureLike

PictureSet: TypeAlias = "PictureLike | Sequence[PictureLike]"


def score(
    *,
    reference: PictureSet,
    generated: PictureSet,
    reader: str = "auto",
    networks: Sequence[str] = (),
    bar: Bar = silent,
) -> dict[str, Any]:
    """Compare generated pictures with those they should look like.

    Args:
        reference: a picture (file, PIL picture, array or tensor), a list of them, or a folder: how it should be.
        generated: likewise: how it came out. Lists are paired in their order, folders by file name without ending.
        reader: who reads landmarks, blendshapes and pose, see `mien.faces.names`.
        networks: names of further networks, such as ``arcface``, whose metrics carry their names.
        bar: makes progress bars.

    Returns:
        ``{"pairs", "unpaired", "readers", "faces", "metrics": {name: {value, low, high, n, n_failed, floor, unit,
        better, minimum, enough}}}``, as ``mien score --json`` prints. ``floor`` is the value of the same outputs
        against every other reference; a pair in which either picture shows no face counts in ``n_failed``.

    Raises:
        BadInput: if a picture cannot be used, or the two sides do not fit.
        MissingDependency, MissingAsset: if the reader or a network is not installed.

    Example:
        >>> import mien
        >>> report = mien.score(reference=["me.jpg"], generated=["friend.jpg"])
        >>> report["pairs"], report["metrics"]["yaw"]["unit"]
        (1, 'degree')
    """
    from mien.assets import embedded
    from mien.evaluation.judges import judge_in
    from mien.evaluation.networks import load_networks
    from mien.evaluation.score import score as score_pairs
    from mien.faces.networks import JudgeAttributes
    from mien.faces.open import open_reader
    from mien.faces.studio import StudioReader

    pairs = _paired(reference, generated)
    extra = load_networks(tuple(networks))
    studio = StudioReader.from_pretrained()
    judge = judge_in(JudgeAttributes, embedded("studio") / "judges" / "attributes")
    return score_pairs(pairs, open_reader(reader, studio), studio, judge, extra, bar=bar)


def score_folders(reference: Path, generated: Path, networks: Sequence[str] = (), bar: Bar = silent) -> dict[str, Any]:
    """Compare two folders as sets, whatever the names and numbers of their pictures; folders inside count too.

    Args:
        reference: such as the pictures of  mien data protocol ffhq-fid.
        generated: such as those of  mien generate --from.
        networks: of those that read whole pictures, such as ``inception``; the studio's judge if there is none.
        bar: makes progress bars.

    Raises:
        BadInput: if a folder is absent or nearly empty, or a network reads faces.
        MissingDependency, MissingAsset: if a network is not installed.
    """
    from functools import partial

    from mien.assets import embedded
    from mien.evaluation.judges import judge_in, picture_features
    from mien.evaluation.networks import SET_NETWORKS, load_networks
    from mien.evaluation.score import score_sets
    from mien.faces.networks import JudgeAttributes

    real, drawn = picture_set(reference), picture_set(generated)
    if wrong := [name for name in networks if name not in SET_NETWORKS]:
        raise BadInput(f"{wrong[0]} does not compare sets of pictures: choose of {', '.join(SET_NETWORKS)}.")
    features = dict(load_networks(tuple(networks)).sets)
    if not features:
        judge = judge_in(JudgeAttributes, embedded("studio") / "judges" / "attributes")
        assert judge is not None  # it ships with the package
        features["studio"] = partial(picture_features, judge)
    return score_sets(real, drawn, features, bar)


def _paired(reference: PictureSet, generated: PictureSet) -> Pairs:
    if isinstance(reference, str | Path) and isinstance(generated, str | Path):
        return pair_up(Path(reference), Path(generated))
    first, second = _pictures(reference), _pictures(generated)
    if any(isinstance(one, str | Path) and Path(one).is_dir() for one in (*first, *second)):
        raise BadInput("Give two folders, or two lists of pictures, not one of each.")
    if len(first) != len(second) or not first:
        raise BadInput(f"There are {len(first)} references and {len(second)} generated pictures; give as many of each.")
    return Pairs(first, second)


def _pictures(side: Any) -> tuple[PictureLike, ...]:
    return tuple(cast("Sequence[PictureLike]", side)) if isinstance(side, list | tuple) else (side,)
