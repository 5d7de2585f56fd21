"""The page ``docs/emojidiff.md`` from the JSON in ``benchmarks/results/``: no measured number on it is typed.

python benchmarks/docs_emojidiff.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docs_parts import by_model, claims_summary, claims_table, short, with_stale_note
from paper_tables import EMOJIDIFF_1

from mien.core.io import read_json, write_text
from mien.evaluation.report.tables import table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "emojidiff.md"

METRICS = (
    "faces.mediapipe", "mediapipe.exp", "transfer.mediapipe.exp", "transfer.mediapipe.lms",
    "transfer.judge.coefficients", "judge.yaw", "identity.cosine", "identity.top1", "identity.leak", "frechet.studio",
)  # fmt: skip
MODELS = {
    "same": "the E-Adapter, trained longer on the same pictures (template and target are one picture)",
    "refined": "the E-Adapter, refined on the pairs that IDI built (`mien pairs build`)",
    "exact": "the same on exact pairs (`mien studio pairs`)",
    "strong": "`exact`, drawn with an expression guidance of 6 in the place of 2",
    "longer": "exact, and as many pictures more as ICA sees",
    "ica": "exact, then ID-enhanced contrast alignment with adaptive noise inversion",
    "ipadapter": "the two adapters that the E-Adapter starts from, side by side (IP-Adapter-FaceID and IP-Adapter)",
    "animate": "drawn from the identity alone, then warped piece by piece onto the target's landmarks",
    "ani-none": "as `ica`, with the plain one-step estimate (f(t) is not bounded)",
    "ani-drop": "as `ica`, without its two terms where f(t) is beyond the bound",
    "ica-epsilon": "as `ica`, from `exact`, on the base made to predict noise (`studio-epsilon`)",
    "ani-none-epsilon": "as `ani-none`, on that base",
    "ani-drop-epsilon": "as `ani-drop`, on that base",
    "site-parallel": "A.2 d: parallel cross-attention, from nothing, on exact pairs, beside the FaceID branch",
    "site-serial": "A.2 c: serial cross-attention, likewise",
    "site-self": "A.2 a: at the self-attentions, likewise",
    "site-controlnet": "A.2 b: a ControlNet whose encoder states are the expression tokens, likewise",
    "style": "`ica`, unchanged, on a base that was fine-tuned on cartoon-like renders",
    "lora": "`ica`, unchanged, on the base with a LoRA of sepia engravings",
}
INTRO = """\
Written by `python benchmarks/docs_emojidiff.py` from the JSON files in `benchmarks/results/`. EmojiDiff's main body is
not among the texts we have: its data iteration, its alignment loss and all that is said of them here is reconstructed
from the abstract and the supplement (*inferred*), so its claims stand in words only. Models are small and trained for
minutes, on a base whose faces are still malformed without landmarks: the *direction* of a claim can be tested, not its
size. A claim is held when the whole 95 % interval of its effect lies above minus its margin, and not tested where an
arm did not train or a dummy model is better on its metric than the exact render.

Models are told the identity, through the FaceID branch, and a picture of another person's face as the expression
template, and nothing else: no landmarks, no pose, no words."""


def page() -> str:
    """The whole page, as Markdown."""
    names = ("expression", "emojidiff_sheets", "probes", "pairs", "claims", "arms", "ani_noise")
    found = {name: read_json(RESULTS / f"{name}.json") for name in names}
    claims = [row for row in found["claims"] if row["id"].startswith("emojidiff-")]
    parts = [
        "# EmojiDiff in the studio",
        INTRO,
        "## What was trained",
        "`python benchmarks/arms.py RUN ...` ([JSON with curves](../benchmarks/results/arms.json)).",
        table(
            ["Model", "what it is"],
            [[f"`{name}`", _told(name)] for name in found["expression"]["models"]],
        ),
        _arms([one for one in found["arms"]["arms"] if one["run"] in _RUNS]),
        *_pairs(found["pairs"]),
        *_expression(found["expression"]),
        "The paper compares with methods that move a face after it was drawn; its other tables are in its main body, "
        "which we do not have.",
        EMOJIDIFF_1.markdown(),
        "## Claims",
        claims_summary(claims),
        claims_table(claims),
        *_noise(found["ani_noise"]),
        *_probes(found["probes"]),
        "## What does not come out, and what was looked at",
        WHY,
        *_sheets(found["emojidiff_sheets"]),
    ]
    return with_stale_note("\n\n".join(parts) + "\n")


def _told(name: str) -> str:
    model, _, seed = name.partition("#")
    return f"`{model}`, training seed {seed}" if seed else MODELS[model]


_RUNS = (
    "studio-faceid", "studio-image-prompt", "studio-e-adapter", "studio-e-adapter-same", "studio-e-adapter-idi",
    "studio-e-adapter-exact", "studio-e-adapter-longer", "studio-alignment", "studio-alignment-none",
    "studio-alignment-drop", "studio-site-parallel", "studio-site-serial", "studio-site-self", "studio-site-controlnet",
)  # fmt: skip
WHY = """\
- *Expression against likeness.* The adapter of same pictures brings the expression, and with it the template's person:
  likeness to the wanted person and to the template's are about equal. Refined on pairs it draws the wanted person, and
  the larger part of the transfer is gone: what had moved the face was in part the template itself. First attempt: the
  encoder. The one before knew little of the expression, and no adapter on it transferred anything. The present one is
  told expression and the landmarks' shapes in shares of their variance; its probe is the first row
  of the table above. Second attempt: the pairs. Exact pairs lose as much transfer as those of
  IDI, so it is not the data iteration's errors. What is left is training: the refined arms saw few pictures (the
  first table), and their error with the right template was still falling.
- *A stronger guidance* buys expression for likeness without any training: `strong` is `exact` with more
  of it. It transfers about what the two adapters side by side do, at a clearly better likeness and leak. The
  claims are tested at the base's own weights.
- *Where the leak is cured.* Probes of the adapter's tokens do not change by refinement or ICA: the person can still be
  read from them. The keys and values of the branch learn not to use it.
- *Drawing first and warping afterwards* stays better in expression, at about the same likeness. Where the template
  turns far from the drawn pose the warp tears the picture, as the last row shows. Attempts: the encoder and the
  guidance above.
- *Other bases.* On a restyled base and with a LoRA the unchanged adapter keeps part of its transfer; the intervals are
  too wide to say how much. The judges were trained on plain renders.
- *The four sites.* Each learnt from nothing on few exact pairs, too few to transfer much at any site, and the
  intervals of the pictures overlap. Second look: the errors on held-out people with the right template against a
  shuffled one, which need no judge (the first table). There parallel and serial cross-attention are level, the
  self-attentions learn less, and the ControlNet has learnt nothing yet: the paper's order but for
  the tie, at a budget where the difference between the first two cannot be seen.
- *ICA.* Of its two terms that of the identity is already near nothing when it begins: at most noise levels the
  estimates with and without the expression show the same person, because the noised picture does. First attempt: the
  three inversions. Without a bound the terms are larger, since estimates at high noise count in full, and the likeness
  after training is the same. Second attempt: a base that predicts noise, for which the paper made ANI; the same. The
  other term is small too, and the studio's reader, which it asks, reads expressions poorly; `expression_head` takes
  MediaPipe's own network (not trained with yet).
- *ANI.* The bound makes the terms smaller. Whether it makes their gradient less noisy was not told: so few batches do
  not tell the mean gradient from its noise. Leaving the steps beyond the bound out makes the terms' sum vary more,
  since fewer rows are left in a batch. For v that is no wonder: f(t) times the error of the noise is s times the error
  of v, which has no pole. For a base that predicts noise it has one, but its errors at high noise are small in the
  same measure. Two training seeds on the base that predicts v, one on the other.
- The pairs of IDI were built by an adapter on the encoder before.
- Not measured yet: further rounds of IDI; ICA with MediaPipe's network as its head."""


def _arms(arms: list[dict[str, Any]]) -> str:
    rows = []
    for one in arms:
        gaps = [f"{one['validation'][f'right_{t}']:.3f} / {one['validation'][f'shuffled_{t}']:.3f}" for t in (900, 600)]
        rows.append([f"`{one['run']}`", f"{one['seen']:,}", f"{one['lr']:g}", *gaps])
    return table(["Run", "pictures", "rate", "error at t = 900, right / shuffled template", "t = 600"], rows)


def _pairs(pairs: dict[str, Any]) -> list[str]:
    rows = []
    for name, one in pairs["sets"].items():
        limits = one["report"]["thresholds"]
        judged = one["judged"]
        rows.append(
            [f"`{name}`", f"{one['report']['attempts']:,}", f"{one['report']['yield']:.2f}",
             f"{limits['exp']:g} / {limits['lms']:g}", *(_level(judged[key]) for key in _JUDGED),
             _level(one["precision"])]
        )  # fmt: skip
    return [
        "## Pairs: IDI against exact ones",
        f"`{pairs['command']}` ([JSON](../benchmarks/results/pairs.json)); the same targets. Kept are templates within "
        "the thresholds of Exp and LMS, which were calibrated on exact pairs (their 90th percentile); the paper's 0.05 "
        "and 0.18 are for photographs. The judges saw neither MediaPipe nor the filters. Precision is the share of "
        "kept pairs that both judges (coefficients, identity) find as good as nine of ten exact pairs; of exact ones "
        "it is what two such bounds leave.",
        table(
            ["Pairs", "attempts", "yield", "Exp / LMS at most", "Exp (MediaPipe)", "difference of the judge's "
             "coefficients", "likeness to the target's person (judge)", "precision"],
            rows,
        ),
        "![Templates above, targets below](images/emojidiff-pairs.png)",
    ]  # fmt: skip


_JUDGED = ("exp", "coefficients", "identity")


def _level(one: dict[str, float]) -> str:
    return f"{short(one['value'])} ({short(one['low'])} to {short(one['high'])})"


def _expression(report: dict[str, Any]) -> list[str]:
    return [
        "## The expression of one, the identity of another",
        f"`{report['claims'][0]['command']}` ([JSON](../benchmarks/results/expression.json)).",
        by_model(report, METRICS),
        "![A row a person: the exact render, then each model](images/emojidiff-expression.png)",
        "`python benchmarks/docs_comparison_images.py`: people at even distances, none chosen.",
    ]


def _sheets(sheets: dict[str, Any]) -> list[str]:
    def told(name: str) -> str:
        one = sheets[name]
        return f"{one['own_is_nearest']} of {one['outputs']} (chance {one['outputs'] * one['chance']:.0f})"

    return [
        "## Words with expressions, photographs as templates",
        f"`{sheets['command']}` ([JSON](../benchmarks/results/emojidiff_sheets.json)): drawn by the model of "
        f"the spec `{sheets['spec']}`. MediaPipe finds each picture's own template nearest in expression "
        f"{told('text')} times where words change the scene, and {told('photographs')} times where the templates are "
        "photographs (two made by a machine, and the astronaut of scikit-image; only outputs are shown).",
        "![One person, a row a prompt, a column a template](images/emojidiff-text.png)",
        "![A row a studio person, a column a photograph](images/emojidiff-photographs.png)",
    ]


def _noise(noise: dict[str, Any]) -> list[str]:
    def over_seeds(rows: list[dict[str, float]], key: str) -> str:
        values = [one[key] for one in rows]
        return f"{short(sum(values) / len(values))} ({short(min(values))} to {short(max(values))})"

    keys = ("identity_mean", "identity_spread", "expression_spread")
    rows = [
        [f"`{base}`", f"`{inversion}`", *(over_seeds(one, key) for key in keys)]
        for base, of in noise["bases"].items()
        for inversion, one in of.items()
        if inversion != "timestep_of_f_max"
    ]
    settings = noise["settings"]
    return [
        "## How noisy ICA is, with and without ANI",
        f"`{noise['command']}` ([JSON](../benchmarks/results/ani_noise.json)): {settings['batches']} batches of "
        f"{settings['batch']}, the same for all, from the checkpoint that ICA starts from; mean of "
        f"{len(settings['seeds'])} seeds, the lowest and the highest. Spread is the standard deviation over the mean, "
        "over batches.",
        table(["Base predicts", "inversion", "identity term", "its spread", "spread of the expression term"], rows),
    ]


def _probes(probes: dict[str, Any]) -> list[str]:
    names = ("identity_top1", "expression_r2_driven", "expression_r2_blendshapes")
    rows = [[f"`{name}`", *(_level(one[key]) for key in names)] for name, one in probes["tokens"].items()]
    return [
        "## What the tokens hold",
        f"`{probes['command']}` ([JSON](../benchmarks/results/probes.json)). Linear probes on held-out people of the "
        "encoder's tokens, and of the tokens that the adapter makes of them.",
        table(["Tokens", f"person, first of {probes['settings']['people']}", "driven coefficients, R2",
               "MediaPipe's blendshapes, R2"], rows),
    ]  # fmt: skip


if __name__ == "__main__":
    write_text(PAGE, page())
