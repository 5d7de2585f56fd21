from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.corpus import Corpus
from mien.faces.alignment import judge_gaze_matrices, transform_points
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.networks import JudgeFace
from mien.training.face_labels import attribute_classes, mirror_labels
from mien.training.objective import Objective
from mien.training.objectives import reader
from mien.training.objectives.detector import DetectorConfig, DetectorObjective, heat_targets
from mien.training.objectives.expression import ExpressionObjective
from mien.training.objectives.identity import IdentityObjective, arcface_logits
from mien.training.objectives.judges import (
    JudgeAttributesObjective,
    JudgeFaceConfig,
    JudgeFaceObjective,
    JudgeGazeConfig,
    JudgeGazeObjective,
    JudgeIdentityObjective,
    determination,
)
from mien.training.objectives.reader import ReaderConfig, ReaderObjective
from mien.training.probes import probe_expression, probe_identity
from mien.training.state import PowerEMA, load_state, save_state


def _corpus(people: int = 4, each: int = 3) -> Corpus:
    rng = np.random.default_rng(0)
    count = people * each
    shape = rng.normal(size=(478, 3)) * [14, 18, 8] + [64, 55, 0]
    landmarks = (shape + rng.normal(size=(count, 1, 3)) * 2 + rng.normal(size=(count, 478, 3)) * 0.5).astype(np.float32)
    read = landmarks.copy()
    read[0] = np.nan
    blendshapes = rng.random((count, 52), np.float32)
    blendshapes[0] = np.nan
    emotion = np.concatenate([rng.uniform(-1, 1, (count, 2)), rng.dirichlet(np.ones(8), count)], 1)
    arrays = {
        "images": rng.integers(0, 256, (count, 128, 128, 3), np.uint8),
        "masks": rng.integers(0, 2, (count, 64, 64), np.uint8) * 255,
        "person": np.repeat(np.arange(people) + 50, each),
        "coefficients": rng.random((count, 53), np.float32),
        "gaze": rng.normal(size=(count, 2)).astype(np.float32) * 8,
        "pose": rng.normal(size=(count, 3)).astype(np.float32) * 10,
        "landmarks": landmarks,
        "landmarks_mediapipe": read,
        "blendshapes_mediapipe": blendshapes,
        "emotion": emotion.astype(np.float32),
        "skin_tone": rng.random(count, np.float32),
        "age": rng.uniform(20, 70, count).astype(np.float32),
        "gender": rng.uniform(-1, 1, count).astype(np.float32),
    }
    words = {name: [values[i % len(values)] for i in range(count)] for name, values in attribute_classes().items()}
    return Corpus(Path("unused"), arrays, [""] * count, words)


OBJECTIVES = {
    "identity": (IdentityObjective, "identity"),
    "reader": (ReaderObjective, "reader/face"),
    "detector": (DetectorObjective, "reader/detector"),
    "expression": (ExpressionObjective, "expression_encoder"),
    "judge_identity": (JudgeIdentityObjective, "judges/identity"),
    "judge_face": (JudgeFaceObjective, "judges/face"),
    "judge_gaze": (JudgeGazeObjective, "judges/gaze"),
    "judge_attributes": (JudgeAttributesObjective, "judges/attributes"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_trained_weight_gets_a_gradient_and_the_step_repeats(name: str, tmp_path: Path) -> None:
    kind, exported = OBJECTIVES[name]
    torch.manual_seed(0)
    objective: Objective = kind()
    corpus = _corpus()
    objective.prepare(corpus, tmp_path)
    losses: list[float] = []
    loss, logs = torch.zeros(()), {}
    for _ in range(2):
        if isinstance(objective, IdentityObjective):
            objective.accuracy.zero_()  # the margin follows it
        batch = objective.batch(corpus, np.random.default_rng(3), 6)
        with torch.autocast("cpu", torch.bfloat16):
            loss, logs = objective(batch, torch.Generator().manual_seed(1))
        losses.append(float(loss.detach()))
    loss.backward()
    assert np.isfinite(losses).all()
    assert losses[0] == losses[1]
    assert all(np.isfinite(float(value)) for value in logs.values())
    missing = [key for key, parameter in objective.trained().items() if parameter.grad is None]
    assert missing == []
    objective.export(tmp_path)
    assert (tmp_path / exported / "config.json").is_file()


def test_a_continued_run_has_the_margin_it_had(tmp_path: Path) -> None:
    torch.manual_seed(0)
    corpus, margins = _corpus(), []
    batch: dict[str, torch.Tensor] = {}
    for number in range(2):
        objective = IdentityObjective()
        objective.prepare(corpus, tmp_path)
        parameters = objective.trained()
        average, optimizer = PowerEMA(parameters, 0.0), torch.optim.AdamW(parameters.values())
        if number == 0:
            save_state(tmp_path / "old", parameters, average, optimizer, {})  # as before the accuracy was kept
            for step in range(4):
                batch = objective.batch(corpus, np.random.default_rng(step), 6)
                objective(batch, torch.Generator().manual_seed(1))
            save_state(tmp_path, parameters, average, optimizer, {}, objective.extra_state())
        else:
            assert load_state(tmp_path / "old", parameters, average, optimizer, objective.extra_state()) is not None
            assert load_state(tmp_path, parameters, average, optimizer, objective.extra_state()) is not None
        margins.append(objective(batch, torch.Generator().manual_seed(1))[1]["margin"])
    assert margins[0] == margins[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_validation_gives_numbers(name: str, tmp_path: Path) -> None:
    objective: Objective = OBJECTIVES[name][0]()
    corpus = _corpus(12, 4)
    objective.prepare(corpus, tmp_path)
    objective.eval()
    with torch.no_grad():
        logs = objective.validate(corpus)
    assert logs
    assert not any(module.training for module in objective.modules() if isinstance(module, torch.nn.BatchNorm2d))


def test_margin_moves_only_the_own_class_and_by_the_angle() -> None:
    angle = 0.7
    cosines = torch.tensor([[np.cos(angle), 0.3], [0.2, -0.999]], dtype=torch.float64)
    logits = arcface_logits(cosines, torch.tensor([0, 1]), 0.4, 10.0)
    assert float(logits[0, 0]) == pytest.approx(10 * np.cos(angle + 0.4))
    assert float(logits[0, 1]) == pytest.approx(3)
    assert float(logits[1, 1]) == pytest.approx(10 * (-0.999 - 0.4 * np.sin(0.4)))  # past pi: the straight continuation


def test_heat_is_one_at_a_face_and_nothing_where_none_is_seen() -> None:
    faces = torch.tensor([[[20.0, 44.0, 12.0], [100.0, 100.0, 8.0]]])
    heat, cell, offset = heat_targets(faces, torch.tensor([[True, False]]), 16)
    assert heat[0, 5, 2] == 1
    assert heat[0, 12, 12] < 1e-3
    assert cell[0, 0] == 5 * 16 + 2
    assert offset[0, 0].tolist() == [0, 0]


def test_collage_places_are_those_of_the_faces() -> None:
    objective = DetectorObjective(DetectorConfig(augment=0.0))
    batch = objective.batch(_corpus(), np.random.default_rng(0), 8)
    batch["images"] = torch.zeros_like(batch["images"])
    for image, (x, y, _) in zip(batch["images"], batch["place"].tolist(), strict=True):
        image[int(y) - 6 : int(y) + 6, int(x) - 6 : int(x) + 6] = 255
    pictures, faces, seen = objective.collage(batch, torch.Generator().manual_seed(0))
    values = [
        pictures[i, :, int(y), int(x)].mean()
        for i in range(8)
        for (x, y, r), visible in zip(faces[i].tolist(), seen[i].tolist(), strict=True)
        if visible and r > 8
    ]
    assert len(values) >= 3
    assert torch.stack(values).median() > 0.8


def test_probes_find_what_is_there() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 5)
    who, how = rng.normal(size=(20, 8))[people], rng.normal(size=(100, 53))
    features = np.concatenate([who * 3, how @ rng.normal(size=(53, 60))], 1)
    first, last = people < 15, people >= 15
    known = features[first], how[first]
    assert probe_expression(known, features[last], how[last]) > 0.6
    noise = rng.normal(size=(100, 8))
    assert probe_expression((noise[first], how[first]), noise[last], how[last]) < 0.1
    assert probe_identity(who, people) > 0.8 > probe_identity(how, people)


@pytest.mark.parametrize("size", [128, 256])
def test_mask_labels_follow_the_crop(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are their own masks: what is seen in the crop is what the label says."""
    monkeypatch.setattr(reader, "photograph", lambda crops, *_: crops)
    monkeypatch.setattr(reader, "random_texture", lambda *_: -torch.ones(1, 3, 128, 128))
    corpus, factor = _corpus(), size // 64
    corpus.arrays["masks"][:] = 0
    corpus.arrays["masks"][:, 12:44, 20:46] = 255
    corpus.arrays["images"] = corpus["masks"].repeat(factor, 1).repeat(factor, 2)[..., None].repeat(3, -1)
    for name in ("landmarks", "landmarks_mediapipe"):
        corpus.arrays[name] = corpus[name] * (size / 128)
    objective = ReaderObjective(ReaderConfig(augment=0.0, absent=0.0))
    labels = objective.augmented(objective.rows(corpus, np.arange(12)), torch.Generator().manual_seed(0))
    seen = torch.nn.functional.avg_pool2d(labels["crops"][:, 0], 2) > 0
    told = labels["masks"] > 0.5
    overlap = (seen & told).flatten(1).sum(1) / (seen | told).flatten(1).sum(1)
    assert told.flatten(1).any(1).all() and overlap.min() > 0.9


def test_determination_is_one_for_the_truth_and_nothing_for_the_mean() -> None:
    truth = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.1, 2.0, 0.5])
    pooled, each = determination(truth, truth)
    assert pooled == pytest.approx(1) and torch.allclose(each, torch.ones(4))
    pooled, each = determination(truth.mean(0).expand(50, 4), truth)
    assert pooled == pytest.approx(0, abs=1e-5) and torch.allclose(each, torch.zeros(4), atol=1e-5)
    read = truth.clone()
    read[:, 2] = 0  # the coefficient that varies most weighs most in the whole
    pooled, each = determination(read, truth)
    assert pooled < 0 < float(each[0])


def test_a_blank_answer_costs_a_judge_as_much_as_the_labels_vary(tmp_path: Path) -> None:
    """The loss of the coefficients is a share of what the mean costs, so zeros are no cheap answer."""
    corpus, objective = _corpus(), JudgeFaceObjective(JudgeFaceConfig(augment=0.0))
    objective.prepare(corpus, tmp_path)
    labels = torch.from_numpy(corpus["coefficients"])
    expected = labels.var(0, correction=0)
    assert torch.allclose(objective._variances, expected.clamp_min(0.1 * float(expected.mean())), atol=1e-4)


def test_gaze_crops_show_the_same_eyes_in_a_mirror() -> None:
    """The left eye of a mirrored face is the right one of the face, and looks the other way."""
    objective = JudgeGazeObjective(JudgeGazeConfig(augment=0.0))
    batch = objective.rows(_corpus(), np.arange(4))
    matrices = judge_gaze_matrices(batch["landmarks"], 64)
    eyes = batch["landmarks"][:, [[33, 133], [263, 362]], :2].float().mean(2)
    for index in range(2):  # each eye lies in the middle of its crop
        middle = transform_points(matrices[:, index], eyes[:, index : index + 1])[:, 0]
        assert torch.allclose(middle, torch.full_like(middle, 32.0), atol=1e-3)
    flipped = mirror_labels({"gaze": batch["gaze"]}, torch.ones(4, dtype=torch.bool))["gaze"]
    assert torch.allclose(flipped, batch["gaze"] * torch.tensor([-1.0, 1.0]))


def test_the_reader_sees_people_before_other_backgrounds_at_any_size(tmp_path: Path) -> None:
    """A matte keeps the person; crops, masks and landmarks follow the network's size."""
    corpus = _corpus()
    side = corpus["images"].shape[1]
    mattes = np.zeros((len(corpus), side // 2, side // 2), np.uint8)
    mattes[:, side // 8 : 3 * side // 8, side // 8 : 3 * side // 8] = 255
    corpus.arrays["mattes"] = mattes
    config = ReaderConfig(size=64, background=1.0, covered=0.0, augment=0.0, absent=0.0, widths=(16, 16, 16, 16))
    objective = ReaderObjective(config)
    objective.prepare(corpus, tmp_path)
    batch = objective.rows(corpus, np.arange(6))
    changed = objective.augmented(batch, torch.Generator().manual_seed(0))
    without = {name: value for name, value in batch.items() if name != "mattes"}
    same = objective.augmented(without, torch.Generator().manual_seed(0))
    assert changed["crops"].shape == (6, 3, 64, 64) and changed["masks"].shape == (6, 32, 32)
    assert torch.equal(changed["landmarks"], same["landmarks"])
    assert not torch.equal(changed["crops"], same["crops"])
    loss, _ = objective(batch, torch.Generator().manual_seed(1))
    assert torch.isfinite(loss)


def test_the_exported_face_judge_knows_what_it_reads(tmp_path: Path) -> None:
    objective, corpus = JudgeFaceObjective(), _corpus(2, 3)
    objective.prepare(corpus, tmp_path)
    with torch.no_grad():
        objective.eval().calibrate(corpus)
        objective.export(tmp_path)
        read = objective.validate(corpus)
    stored = JudgeFace.from_pretrained(tmp_path / "judges" / "face")
    found = stored.config["determination"]
    assert list(found) == list(KIT_NAMES) and len(stored.seen) == 53 - read["unseen"]


@pytest.mark.parametrize("name", ["reader", "judge_face", "judge_gaze"])
def test_a_few_held_out_pictures_are_enough(name: str, tmp_path: Path) -> None:
    """Fewer pictures than the parts in which validation goes through them."""
    objective: Objective = OBJECTIVES[name][0]()
    corpus = _corpus(2, 3)
    objective.prepare(corpus, tmp_path)
    with torch.no_grad():
        logs = objective.eval().validate(corpus)
    assert logs and all(isinstance(value, float) for value in logs.values())
