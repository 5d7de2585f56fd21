"""The papers' equations, each broken on purpose: a test that stays green then does not test its equation.

``python -m tests.mutations [WORD ...]`` breaks those whose names hold one of the words, all by default, and prints what
each test said; ``--result benchmarks/results/mutations.json`` writes it down. ``tests/test_mutations.py`` does the same
as a slow test.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mien.bench.stamp import stamp
from mien.core.io import write_json

ROOT = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """One equation broken in one place.

    Attributes:
        name: what is broken.
        file: below ``src/mien``.
        old: text that stands in the file exactly once.
        new: what takes its place.
        test: node id below ``tests`` of the test that has to fail.
    """

    name: str
    file: str
    old: str
    new: str
    test: str


ATTENTION, AD = "adapters/attention.py", "training/disentanglement.py"
GUIDANCE, ANI = "diffusion/guidance.py", "diffusion/inversion.py"
ICA, LOSS = "training/objectives/alignment.py", "training/diffusion.py"
EXPRESSION, DISTRIBUTIONS = "metrics/expression.py", "metrics/distributions.py"
INJECTION_TESTS, AD_TESTS = "adapters/test_injection.py", "training/test_disentanglement.py"
GUIDANCE_TESTS, ANI_TESTS = "diffusion/test_guidance.py", "diffusion/test_inversion.py"
ICA_TESTS, LOSS_TESTS = "training/test_alignment_settings.py", "training/test_diffusion.py"
HEADLINE, HEADLINE_TESTS = "evaluation/control/headline.py", "evaluation/test_headline.py"
PAIR_TESTS, STAGE_TESTS = "data/test_pairs.py", "training/test_stages.py"
METRIC_TESTS, PAPER_METRIC_TESTS = "metrics/test_metrics.py", "metrics/test_paper_metrics.py"

MUTATIONS = (
    # FaceCrafter Eq. 1: base attention plus one scaled term a branch
    Mutation(
        "Eq. 1: the last branch instead of the sum",
        ATTENTION, "total = total.index_add(0, term.rows, part)", "total = base.index_add(0, term.rows, part)",
        f"{INJECTION_TESTS}::test_rows_with_their_own_scales_equal_separate_runs[sd15-parallel-False]",
    ),
    Mutation(
        "Eq. 1: the sum over all rows at once",
        ATTENTION, "total = total + parts[term.name]", "total = base + parts[term.name]",
        f"{INJECTION_TESTS}::test_branches_are_summed",
    ),
    Mutation(
        "Eq. 1: scales dropped",
        ATTENTION, "out = out * weight.to(out.dtype)", "out = out * weight.to(out.dtype).ceil()",
        f"{INJECTION_TESTS}::test_branches_are_summed",
    ),
    Mutation(
        "Eq. 1: region masks dropped",
        ATTENTION, "weight = weight * term.regions[query.shape[1]]", "weight = weight * 1.0",
        f"{INJECTION_TESTS}::test_region_masks_act_where_they_say",
    ),
    Mutation(
        "EmojiDiff A.2 c: the serial branch does not see the parallel ones",
        ATTENTION, "self.residual.renormalise(base)", "self.residual.renormalise(torch.zeros_like(base))",
        f"{INJECTION_TESTS}::test_a_serial_branch_comes_after_the_parallel_ones[sd15-auto]",
    ),
    # FaceCrafter Eq. 2-3: the disentanglement loss
    Mutation(
        "Eq. 3: a pair of settings left out",
        AD, "(1, 2), (1, 3))", "(1, 2))",
        f"{AD_TESTS}::test_equal_rows_cost_one_a_pair_and_orthogonal_ones_nothing",
    ),
    Mutation(
        "Eq. 3: the sixth pair instead of the fifth",
        AD, "(1, 2), (1, 3))", "(1, 2), (2, 3))",
        f"{AD_TESTS}::test_the_five_pairs_are_the_papers",
    ),
    Mutation(
        "Eq. 2: without ReLU",
        AD, "other.float(), dim=-1).relu()", "other.float(), dim=-1)",
        f"{AD_TESTS}::test_equal_rows_cost_one_a_pair_and_orthogonal_ones_nothing",
    ),
    Mutation(
        "Eq. 2: the whole picture instead of the face",
        AD, "(alike * inside).sum(1)", "alike.sum(1)",
        f"{AD_TESTS}::test_only_the_face_counts",
    ),
    Mutation(
        "Eq. 3: replicas not counted",
        AD, "(each * pairs.weight).sum()", "each.sum()",
        f"{AD_TESTS}::test_the_papers_sum_over_replicas",
    ),
    # FaceCrafter Eq. 6: guidance
    Mutation(
        "Eq. 6: the subtracted evaluation added",
        GUIDANCE, "factors.get(difference.absent, 0.0) - difference.weight",
        "factors.get(difference.absent, 0.0) + difference.weight",
        f"{GUIDANCE_TESTS}::test_equation_6",
    ),
    Mutation(
        "Eq. 6: each condition against nothing instead of against the identity",
        GUIDANCE, "Difference(name, weight, below | {name}, below) for",
        "Difference(name, weight, below | {name}, frozenset()) for",
        f"{GUIDANCE_TESTS}::test_equation_6",
    ),
    Mutation(
        "rescaling: the shares of both pictures swapped",
        GUIDANCE, "strength * scaled + (1 - strength) * guided", "strength * guided + (1 - strength) * scaled",
        f"{GUIDANCE_TESTS}::test_rescale",
    ),
    # EmojiDiff suppl. Eq. 8: adaptive noise inversion
    Mutation(
        "Eq. 8: f(t) upside down",
        ANI, "return ((1 - alpha_bar) / alpha_bar).sqrt()", "return (alpha_bar / (1 - alpha_bar)).sqrt()",
        f"{ANI_TESTS}::test_known_values[epsilon]",
    ),
    Mutation(
        "Eq. 8: f(t) not bounded",
        ANI, ".clamp(max=f_max)[:, None, None, None]", "[:, None, None, None]",
        f"{ANI_TESTS}::test_known_values[epsilon]",
    ),
    Mutation(
        "Eq. 8: the error added with the other sign",
        ANI, "clean.float() + f * (noise.float()", "clean.float() - f * (noise.float()",
        f"{ANI_TESTS}::test_known_values[v_prediction]",
    ),
    # EmojiDiff's fine-tuning
    Mutation(
        "alignment: a gradient into the prediction with the identity alone",
        ICA, "for one in (with_both, alone.detach())", "for one in (with_both, alone)",
        f"{ICA_TESTS}::test_the_identity_only_side_is_a_target_without_a_gradient",
    ),
    Mutation(
        "alignment: the expression of the wrong prediction",
        ICA, "self.heads.expression(pictures[0], points)", "self.heads.expression(pictures[1], points)",
        f"{ICA_TESTS}::test_the_identity_only_side_is_a_target_without_a_gradient",
    ),
    Mutation(
        "alignment: the expression's weight dropped",
        ICA, "self.w_exp * expression, terms", "expression, terms",
        f"{ICA_TESTS}::test_the_loss_is_the_weighted_sum_of_its_terms",
    ),
    Mutation(
        "alignment: the rows with little noise left out instead of those with much",
        ICA, "f_of_timestep(self.base.scheduler, timesteps) <= self.f_max",
        "f_of_timestep(self.base.scheduler, timesteps) > self.f_max",
        f"{ICA_TESTS}::test_rows_beyond_the_bound_are_dropped",
    ),
    # the diffusion loss
    Mutation(
        "velocity: signal and noise swapped",
        "diffusion/prediction.py",
        "return alpha_bar.sqrt()[:, None, None, None], (1 - alpha_bar).sqrt()[:, None, None, None]",
        "return (1 - alpha_bar).sqrt()[:, None, None, None], alpha_bar.sqrt()[:, None, None, None]",
        "diffusion/test_prediction.py::test_the_schedulers_prediction_type_is_honoured[v_prediction]",
    ),
    Mutation(
        "loss: the weights of the positions not brought to a mean of 1",
        LOSS, "weights * (places / places.mean())", "weights * places",
        f"{LOSS_TESTS}::test_places_move_the_weight_and_not_its_sum",
    ),
    Mutation(
        "min-SNR: not clipped",
        LOSS, "clipped = snr.clamp(max=gamma)", "clipped = snr",
        f"{LOSS_TESTS}::test_weights_are_min_snr",
    ),
    # several identities
    Mutation(
        "mixed identities: the weights not read",
        "faces/sphere.py", "np.asarray(weights or [1.0] * len(points), np.float64)", "np.ones(len(points))",
        "faces/test_sphere.py::test_two_meet_on_the_arc_between_them",
    ),
    # metrics
    Mutation(
        "Exp: the sum instead of the mean",
        EXPRESSION, 'reduction: Literal["mean", "sum"] = "mean"', 'reduction: Literal["mean", "sum"] = "sum"',
        f"{METRIC_TESTS}::test_exp_is_the_mean_and_offers_the_sum",
    ),
    Mutation(
        "LMS: one landmark of the left eye is another",
        EXPRESSION, "((374, 386), (263, 362))", "((374, 386), (263, 133))",
        f"{METRIC_TESTS}::test_lms_by_hand",
    ),
    Mutation(
        "LMS: depth counted",
        EXPRESSION, "np.asarray(landmarks, np.float64)[..., :2]", "np.asarray(landmarks, np.float64)[..., :3]",
        f"{METRIC_TESTS}::test_lms_by_hand",
    ),
    Mutation(
        "pose: angles not wrapped",
        "metrics/pose.py", "return (difference + 180.0) % 360.0 - 180.0", "return difference",
        f"{METRIC_TESTS}::test_pose_errors_wrap_and_average",
    ),
    Mutation(
        "FLAME parameters: a root mean instead of the norm",
        "metrics/parameters.py", 'kind: Literal["l2", "rmse"] = "l2"', 'kind: Literal["l2", "rmse"] = "rmse"',
        f"{PAPER_METRIC_TESTS}::test_parameters_by_norm_and_by_root_mean_square",
    ),
    Mutation(
        "KID: a picture paired with itself",
        DISTRIBUTIONS, "apart = (shown[:, None] != others[None]).all(-1)", "apart = np.ones((len(shown), len(others)))",
        f"{PAPER_METRIC_TESTS}::test_kid_agrees_with_torchmetrics",
    ),
    Mutation(
        "Frechet distance: the mixed term once instead of twice",
        DISTRIBUTIONS, "- 2 * np.sqrt(inner.clip(0))", "- np.sqrt(inner.clip(0))",
        f"{PAPER_METRIC_TESTS}::test_frechet_distance_of_known_gaussians",
    ),
    Mutation(
        "leak: the wanted person and the template's swapped",
        "metrics/leak.py", "score = (angle(generated, wanted) - angle(generated, template))",
        "score = (angle(generated, template) - angle(generated, wanted))",
        f"{PAPER_METRIC_TESTS}::test_leak_is_one_for_the_template_and_minus_one_for_the_wanted",
    ),
    # FaceCrafter sec. 3.2: which pictures are a pair; Eq. 5; e(0) of Eq. 6 in training
    Mutation(
        "sec. 3.2: a partner of another pose where the same is wanted",
        "data/pairs.py", "angle <= POSE_ALIKE if self.same_pose else angle >= POSE_APART", "angle >= POSE_APART",
        f"{PAIR_TESTS}::test_partners_are_of_another_expression_and_pose_or_the_same",
    ),
    Mutation(
        "sec. 3.2: a partner of the same expression",
        "data/pairs.py", ".mean(-1) >= self._apart", ".mean(-1) >= 0",
        f"{PAIR_TESTS}::test_partners_are_of_another_expression_and_pose_or_the_same",
    ),
    Mutation(
        "Eq. 5: lambda dropped",
        "training/objectives/joint.py", "loss + config.ad * apart", "loss + apart",
        f"{STAGE_TESTS}::test_replicas_that_are_one_row_are_computed_once",
    ),
    Mutation(
        "Eq. 6: e(0) of the encoder that is trained",
        "training/objectives/joint.py", "self._null.to(states.dtype), states)", "states, states)",
        f"{STAGE_TESTS}::test_the_empty_prompt_is_of_one_encoder[frozen]",
    ),
    # the headline measures, and what refuses one
    Mutation(
        "nearness: a ceiling that is not the autoencoder's",
        HEADLINE, '/ (levels["shuffled"] - best)', '/ (levels["shuffled"] - levels["oracle"])',
        f"{HEADLINE_TESTS}::test_a_picture_without_a_face_counts_as_no_control",
    ),
    Mutation(
        "nearness: pictures without a face left out",
        HEADLINE, "np.where(share > 0, share * near, 0.0)", "np.where(share > 0, near, 0.0)",
        f"{HEADLINE_TESTS}::test_a_picture_without_a_face_counts_as_no_control",
    ),
    Mutation(
        "identity.top1: the exact renders in the place of the pictures",
        HEADLINE, "first_rows(seen[rows], gallery", "first_rows(exact[rows], gallery",
        f"{HEADLINE_TESTS}::test_a_model_that_draws_the_exact_render_is_at_the_ceiling_and_a_blank_at_nothing",
    ),
    Mutation(
        "headline's leak: not as a share of the template's own",
        HEADLINE, "return np.where(of > 0, above / of, np.nan)", "return np.where(of > 0, above, np.nan)",
        f"{HEADLINE_TESTS}::test_leak_is_zero_for_the_exact_render_and_one_for_a_copy_of_the_template",
    ),
    Mutation(
        "headline's leak: not beyond that of the exact render",
        HEADLINE, " - cosine(exact, donors[targets]) for rows", " for rows",
        f"{HEADLINE_TESTS}::test_leak_is_zero_for_the_exact_render_and_one_for_a_copy_of_the_template",
    ),
    Mutation(
        "gaze: one angle only",
        "evaluation/control/measures.py", "np.square(seen - target).mean(-1)", "np.square(seen - target)[..., 0]",
        f"{HEADLINE_TESTS}::test_a_gaze_is_off_by_the_root_mean_square_of_its_two_angles",
    ),
    Mutation(
        "refused: a dummy model that is better by chance",
        "evaluation/control/baselines.py", "else high < -_EQUAL", "else low < -_EQUAL",
        f"{HEADLINE_TESTS}::test_a_metric_on_which_a_dummy_beats_the_exact_render_is_refused",
    ),
    # verdicts: a leak below the exact render's is a leak too, and every judge of a claim has to agree
    Mutation(
        "verdicts: of a leak the sign instead of the size",
        "evaluation/statistics/scores.py",
        'np.abs(ours) - np.abs(theirs) if self.better == "zero" else ours - theirs', "ours - theirs",
        "evaluation/test_claims.py::test_of_a_leak_the_size_counts",
    ),
    Mutation(
        "verdicts: one judge is enough",
        "evaluation/claims/verdicts.py",
        'held = all(part["low"]', 'held = any(part["low"]',
        "evaluation/test_claims.py::test_a_claim_has_to_hold_by_each_judge",
    ),
)  # fmt: skip


def copy_of_source(folder: Path) -> Path:
    """A copy of ``src`` whose Python files may be changed; everything else is a link."""

    def copy(source: str, target: str) -> None:
        (shutil.copyfile if source.endswith(".py") else os.symlink)(source, target)

    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "src", folder / "src", copy_function=copy, ignore=ignore))


def run_tests(source: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests against a copy of the source."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", "-m", ""]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def survives(mutation: Mutation, source: Path) -> str | None:
    """Break the copy, run the test, mend the copy.

    Returns:
        None if the test failed as it should, else what happened.
    """
    path = source / "mien" / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        return f"{mutation.name}: {mutation.old!r} stands {text.count(mutation.old)} times in {mutation.file}"
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        done = run_tests(source, [mutation.test])
    finally:
        path.write_text(text)
    # 1 is a failed test; 2 and more are tests that could not be collected or are not there
    if (
        done.returncode == 1
        and re.search("^FAILED ", done.stdout, re.M)
        and not re.search("^ERROR ", done.stdout, re.M)
    ):
        return None
    return f"{mutation.name}: {mutation.test} ended with {done.returncode}\n{done.stdout[-2000:]}"


def main(words: Sequence[str], result: Path | None = None) -> int:
    """Break what is asked for, say what the tests said, and write it into a JSON file if one is named."""
    chosen = [one for one in MUTATIONS if not words or any(word.lower() in one.name.lower() for word in words)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = copy_of_source(Path(folder))
        for one in chosen:
            left = survives(one, source)
            rows.append({"name": one.name, "file": one.file, "test": one.test, "caught": left is None})
            sys.stdout.write(f"{'caught' if left is None else 'SURVIVED'}  {left or one.name}\n")
            sys.stdout.flush()
            if result is not None:
                told = ["python", "-m", "tests.mutations", *words, "--result", str(result)]
                write_json(result, {"mutations": rows, "made_by": stamp(shlex.join(told))})
    caught = sum(row["caught"] for row in rows)
    sys.stdout.write(f"{caught} of {len(chosen)} caught\n")
    return int(caught < len(chosen))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*", help="parts of names; all mutations if none")
    parser.add_argument("--result", type=Path, help="a JSON file")
    asked = parser.parse_args()
    sys.exit(main(asked.words, asked.result))
