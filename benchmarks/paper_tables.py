"""The papers' own tables, every row, and why a row that has no counterpart here was not run.

The values are the papers'; what stands beside them is ours. A user who has a baseline's pictures measures them with
``mien score --reference TARGETS --generated PICTURES`` by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mien.evaluation.report.tables import table

_NO_WEIGHTS = "not run: its weights cannot be had here"
_REENACTMENT = "not run: its code and weights cannot be had here; `animate` (warping) stands in its place"
_PEOPLE = "not run: needs people; `mien study` makes the sheets and counts the votes"


class Row(NamedTuple):
    """A row of a paper's table.

    Attributes:
        method: the paper's name.
        values: the paper's numbers, as printed.
        here: the model of ours in its place, or why there is none.
    """

    method: str
    values: tuple[str, ...]
    here: str


class PaperTable(NamedTuple):
    """A table of a paper.

    Attributes:
        name: where it stands.
        columns: what the values are, with the arrow of the better direction.
        rows: all of them.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def markdown(self) -> str:
        """As a table of Markdown."""
        rows: Sequence[Sequence[str]] = [[one.method, *one.values, one.here] for one in self.rows]
        return table([self.name, *self.columns, "here"], rows)


FACECRAFTER_1 = PaperTable(
    "FaceCrafter, Table 1",
    ("Exp-RMSE ↓", "Pose-RMSE ↓", "V-RMSE ↓", "A-RMSE ↓", "Dist-RMSE ↓", "accuracy ↑", "ID-Sim ↑", "FID ↓",
     "parameters"),
    (
        Row("Arc2Face + ControlNet", ("8.12", "0.130", "0.360", "0.247", "0.86", "35.1", "0.76", "44.64", "361 M"),
            "`controlnet`"),
        Row("CapHuman", ("7.82", "0.166", "0.428", "0.224", "0.87", "34.6", "0.71", "88.80", "361 M"), _NO_WEIGHTS),
        Row("pre-trained, LMK", ("7.11", "0.124", "0.267", "0.221", "0.71", "46.5", "0.75", "46.85", "11.7 M"),
            "`lmk`"),
        Row("pre-trained, LMK + EMO", ("7.12", "0.128", "0.218", "0.205", "0.59", "56.5", "0.72", "53.25", "18 M"),
            "`lmk-emo`"),
        Row("FaceCrafter, LMK", ("6.78", "0.119", "0.250", "0.203", "0.63", "52.4", "0.71", "38.80", "11.7 M"),
            "not drawn yet: `mien evaluate control --model joint-lmk`"),
        Row("FaceCrafter, LMK + EMO", ("6.81", "0.126", "0.217", "0.184", "0.52", "61.2", "0.69", "41.54", "18 M"),
            "`joint`"),
    ),
)  # fmt: skip
_DIVERSITY = ("LPIPS ↑", "Exp ↑", "Pose ↑", "FID ↓")
_JOINT = Row("FaceCrafter", ("0.552 / 0.589", "6.971 / 6.930", "0.429 / 0.424", "2.112 / 6.501"), "`joint`")
FACECRAFTER_2 = PaperTable(
    "FaceCrafter, Table 2 (Synth-500 / AgeDB-500)",
    _DIVERSITY,
    (
        Row("FastComposer", ("0.389 / 0.487", "3.597 / 4.678", "0.163 / 0.225", "13.517 / 31.736"), _NO_WEIGHTS),
        Row("PhotoMaker", ("0.410 / 0.424", "3.920 / 4.283", "0.167 / 0.165", "13.295 / 8.410"), _NO_WEIGHTS),
        Row("InstantID", ("0.386 / 0.437", "3.733 / 4.569", "0.059 / 0.082", "22.859 / 18.598"), _NO_WEIGHTS),
        Row("IPA-FaceID (SDXL)", ("0.402 / 0.462", "4.648 / 5.812", "0.181 / 0.197", "7.104 / 24.105"), _NO_WEIGHTS),
        Row("IPA-FaceID-Plus", ("0.320 / 0.384", "2.706 / 3.518", "0.150 / 0.194", "14.880 / 11.817"), _NO_WEIGHTS),
        Row("IPA-FaceID-Plusv2", ("0.356 / 0.429", "3.147 / 4.092", "0.185 / 0.236", "9.752 / 10.798"), _NO_WEIGHTS),
        Row("Arc2Face", ("0.506 / 0.508", "6.375 / 5.966", "0.317 / 0.273", "5.673 / 6.628"), "`base`"),
        _JOINT,
    ),
)
FACECRAFTER_3 = PaperTable(
    "FaceCrafter, Table 3 (Synth-500 / AgeDB-500)",
    _DIVERSITY,
    (
        Row("without the AD loss", ("0.538 / 0.564", "6.540 / 6.430", "0.411 / 0.397", "2.140 / 5.381"), "`no-ad`"),
        _JOINT,
    ),
)
FACECRAFTER_4 = PaperTable(
    "FaceCrafter, Table 4 (user study)",
    ("pose control % ↑", "expression control % ↑", "identity % ↑"),
    (
        Row("Arc2Face + ControlNet", ("15.2", "21.0", "36.9"), _PEOPLE),
        Row("CapHuman", ("6.7", "5.7", "32.4"), _NO_WEIGHTS),
        Row("FaceCrafter", ("78.1", "73.3", "30.6"), _PEOPLE),
    ),
)
FACECRAFTER_5 = PaperTable(
    "FaceCrafter, Table 5 (user study)",
    ("pose diversity % ↑", "expression diversity % ↑"),
    (
        Row("Arc2Face", ("22.9", "21.9"), _PEOPLE),
        Row("FaceCrafter", ("77.1", "78.1"), _PEOPLE),
    ),
)
EMOJIDIFF_1 = PaperTable(
    "EmojiDiff, Table 1 of the supplement",
    ("ID ↑", "Exp ↓", "LMS ↓"),
    (
        Row("DaGAN", ("0.202", "0.135", "0.569"), _REENACTMENT),
        Row("Follow-Your-Emoji", ("0.243", "0.125", "0.428"), _REENACTMENT),
        Row("AvatarArtist", ("0.239", "0.110", "0.454"), _REENACTMENT),
        Row("SkyReels-A1", ("0.277", "0.104", "0.387"), _REENACTMENT),
        Row("EmojiDiff", ("0.304", "0.095", "0.359"), "`ica`"),
    ),
)
