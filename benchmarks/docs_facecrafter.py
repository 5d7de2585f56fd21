"""The page ``docs/facecrafter.md`` from the JSON in ``benchmarks/results/``: no measured number on it is typed.

python benchmarks/docs_facecrafter.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docs_parts import by_model, claims_summary, claims_table, only, with_stale_note
from paper_tables import FACECRAFTER_1, FACECRAFTER_2, FACECRAFTER_3, FACECRAFTER_4, FACECRAFTER_5

from mien.core.io import read_json, write_text
from mien.evaluation.report.tables import comparison, cross_talk_table, table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "facecrafter.md"

TABLE1 = (
    "faces.mediapipe", "judge.coefficients", "judge.pose", "judge.valence", "judge.arousal", "judge.emotion_l2",
    "judge.emotion_class", "mediapipe.exp", "mediapipe.lms", "identity.cosine", "identity.top1", "identity.leak",
    "frechet.studio",
)  # fmt: skip
TABLE2 = (
    "faces.mediapipe", "diversity.expression.judge", "diversity.pose.judge", "diversity.expression.mediapipe",
    "diversity.pose.mediapipe", "perceptual.studio", "identity.cosine", "frechet.studio",
)  # fmt: skip
WHY = """\
- *Expression and valence against the ControlNet; expression, valence and everything else of joint against
  pre-trained.* The intervals of these effects reach below 0: so many pairs do not tell such models apart.
- *Joint training costs identity, and takes the pictures as a set further from the renders* (their Frechet distance,
  which has no interval). First attempt: is it the AD loss? The arm without it (`no-ad` in Table 1) gives up
  less likeness, and stays nearer to the renders; in Table 3 it comes nearer with every seed. So, in
  part, yes. With the paper's lambda and sum over
  pairs it pushes the attention of replicas apart until pictures of one person differ more than the renderer's own do
  (perceptual diversity above the ceiling), which is not better. The other reading of the loss (`per-branch`, Table 3)
  has little left to push apart: its value is small from the start.
- Second attempt: is it the text encoder? Trained at a tenth of the rate, with the AD loss (`slow-text` in Table 1),
  a part of the loss of likeness is gone and control is as good as any model's here. Trained alone on the same
  pictures without any module (`text-only`, Table 2) it loses identity as well, and gains as much diversity of
  expressions and poses as the joint stage does. So in the studio that diversity comes from the pictures, not from the
  modules: a control the paper does not have. The cross-talk matrix shows the price: the stage sees identity prompts
  alone, and afterwards the words of a prompt change nothing. Neither cause alone explains all of it.
- *The AD loss and the diversity of expressions and poses.* The effect is positive with every seed, but with three of
  them the interval reaches a little below 0.
- Nothing of the joint stage ships: the embedded modules are those of pre-training, trained longer."""


def page() -> str:
    """The whole page, as Markdown."""
    names = ("table1", "table2", "table3", "claims", "arms", "cross_talk", "train_steps")
    found = {name: read_json(RESULTS / f"{name}.json") for name in names}
    claims = {row["id"]: row for row in found["claims"]}
    parts = [*_setting(found), *_table1(found, claims), *_diversity(found, claims), *_rest(found)]
    return with_stale_note("\n\n".join(parts) + "\n")


def _setting(found: dict[str, Any]) -> list[str]:
    claims = [row for row in found["claims"] if row["id"].startswith("facecrafter-")]
    return [
        "# FaceCrafter's tables in the studio",
        "Written by `python benchmarks/docs_facecrafter.py` from the JSON files in `benchmarks/results/`; every table "
        "names the command that measured it. The paper trained on photographs of faces at Arc2Face's size for 150,000 "
        "steps and measured with EMOCA, EmoNet, FaceNet and Inception. Here a small base on synthetic portraits is "
        "trained for minutes, and judges that saw nothing but renders measure it: the *direction* of a claim can be "
        "tested, not its size. A model's own numbers stand beside the level of no control (floor) and of the exact "
        "render (ceiling). [How the numbers are defined](metrics.md).",
        f"{claims_summary(claims)} Those against a ControlNet count twice, before and after joint training; those "
        "against the text encoder alone are ours. A claim is held when the whole 95 % interval of its effect, signed "
        "so that positive supports it, lies above 0, and not tested where an arm did not train or a dummy model is "
        "better on its metric than the exact render.",
        "## What was trained",
        "Everything on the same frozen base. The joint stage starts from the landmark and the emotion module, and so "
        "do its ablations. `python benchmarks/arms.py RUN ...` ([JSON with curves](../benchmarks/results/arms.json)).",
        _arms([one for one in found["arms"]["arms"] if one["objective"] in _MODULES and one["kind"] in _READ]),
        _joint_arms([one for one in found["arms"]["arms"] if one["objective"] == "joint"]),
    ]


def _table1(found: dict[str, Any], claims: dict[str, Any]) -> list[str]:
    report = found["table1"]
    return [
        "## Table 1: control",
        FACECRAFTER_1.markdown(),
        f"`{report['claims'][0]['command']}` ([JSON](../benchmarks/results/table1.json)). `embedded` shipped "
        "when this was drawn: the same modules, trained longer and together with the base, which is why it is no arm "
        "of the comparison. Of the "
        "emotion's class the paper gives the accuracy, the studio the share of outputs in which the judge sees another "
        "one. The claims before joint training stand beside the paper's rows of pre-trained modules. " + _WITHDRAWN,
        comparison(only(report, TABLE1)).strip(),
        "![A row a person: the exact render, then each model](images/facecrafter-table1.png)",
        "`python benchmarks/docs_comparison_images.py`: every twentieth person under the same target.",
        claims_table([row for name, row in claims.items() if "-t1-" in name]),
    ]


def _diversity(found: dict[str, Any], claims: dict[str, Any]) -> list[str]:
    table2, table3 = found["table2"], found["table3"]
    return [
        "## Table 2: the identity alone",
        FACECRAFTER_2.markdown(),
        "Several pictures of each person from the identity alone. The ceiling is the renderer's own spread: more than "
        "that is not better. `text-only` is the control the paper does not have: the text encoder trained on the same "
        "pictures without any module.",
        f"`{table2['claims'][0]['command']}` ([JSON](../benchmarks/results/table2.json)).",
        comparison(only(table2, TABLE2)).strip(),
        "![Pictures of two people from the identity alone](images/facecrafter-table2.png)",
        claims_table([row for name, row in claims.items() if "-t2-" in name]),
        "## Table 3: with and without the AD loss",
        FACECRAFTER_3.markdown(),
        "Three training seeds of each, from one checkpoint. Effects are means over the seeds; the interval is over "
        "resampled people and seeds, and three seeds say little about more.",
        f"`{table3['claims'][0]['command']}` ([JSON](../benchmarks/results/table3.json)).",
        by_model(table3, TABLE2),
        claims_table([row for name, row in claims.items() if "-t3-" in name]),
    ]


def _rest(found: dict[str, Any]) -> list[str]:
    steps = found["train_steps"]["parts"]
    joint, module = steps["joint_against_plain"], steps["controlnet_against_landmarks"]
    told = found["cross_talk"]
    parts = [
        "## Cross-talk: what each control does to other attributes",
        "`python benchmarks/cross_talk.py before=lmk-emo-pretrained after=joint-lmk-emo` "
        "([JSON](../benchmarks/results/cross_talk.json)).",
    ]
    for name, one in told.items():
        parts += [f"{name.capitalize()} joint training.", cross_talk_table(one)]
    return [
        *parts,
        "## Tables 4 and 5: the user study",
        "The paper asked 21 people; no study was held here yet.",
        FACECRAFTER_4.markdown(),
        FACECRAFTER_5.markdown(),
        "## Where the order does not come out, and what was looked at",
        WHY,
        "## What a training step costs",
        "`mien bench training --data RENDERS --threads 1 --json benchmarks/results/train_steps.json` "
        "([JSON](../benchmarks/results/train_steps.json)); steps of both sides in turns, medians.",
        table(
            ["", "seconds", "ratio", "megabytes held"],
            [
                ["joint step / plain step on the same rows", *_step(joint)],
                ["ControlNet step / landmark step", *_step(module)],
            ],
        ),
    ]  # fmt: skip


def _step(part: dict[str, Any]) -> list[str]:
    """Seconds of both sides, their ratio, megabytes of both."""
    sides = part["sides"].values()
    seconds, held = ([one["seconds"]["median"] for one in sides], [one["megabytes"] for one in sides])
    return [" / ".join(f"{value:g}" for value in seconds), f"{part['ratio']['median']:.2f}",
            " / ".join(f"{value:g}" for value in held)]  # fmt: skip


_WITHDRAWN = (
    "KID was taken here, over pairs of pictures that show one person or target; those bias its intervals. It is taken "
    "otherwise now, but these pictures are gone, so the paper's claims on FID are not tested."
)
_MODULES, _READ = ("controlnet", "branch"), ("landmarks", "emotion")


def _arms(arms: list[dict[str, Any]]) -> str:
    rows = [
        [one["objective"], one["kind"], f"{one['seen']:,}", f"{one['lr']:g}", *_gaps(one["validation"])] for one in arms
    ]
    return table(["Objective", "condition", "pictures", "rate", "t = 900, right / shuffled", "t = 600"], rows)


def _gaps(validation: dict[str, float]) -> list[str]:
    return [f"{validation[f'right_{t}']:.3f} / {validation[f'shuffled_{t}']:.3f}" for t in (900, 600)]


def _joint_arms(arms: list[dict[str, Any]]) -> str:
    rows = []
    for one in arms:
        first, last = one["curve"][0], one["curve"][-1]
        apart = f"{first[3]:.1f} to {last[3]:.1f}" if len(last) > 3 else "-"  # seen, loss, diffusion, AD
        errors = [f"{one['validation'][f'right_{t}']:.4f}" for t in (900, 600, 300)]
        rows.append([f"`{one['run']}`", f"{one['seen']:,}", f"{first[2]:.4f} to {last[2]:.4f}", apart, *errors])
    return table(["Run", "replicas", "diffusion loss", "AD loss", "t = 900", "t = 600", "t = 300"], rows)


if __name__ == "__main__":
    write_text(PAGE, page())
