"""ICA's heads and memory levers, on a base small enough for tests that draws 128 px."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from mien.adapters import preset_branch, save_adapter
from mien.data.corpus import Corpus
from mien.errors import BadInput, ConfigError, MissingAsset
from mien.faces.networks import ExpressionEncoder, IdentityEmbedder, StudioFaceNet
from mien.training.heads import OneOutput
from mien.training.objectives.alignment import AlignmentConfig, AlignmentObjective
from mien.training.sources import Sources
from tests.memory import KeptBytes
from tests.synthetic import write_corpus
from tests.tiny import tiny_text, tiny_unet


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything ICA needs, random: base, adapters, studio heads, a corpus of pairs."""
    folder = tmp_path_factory.mktemp("ica")
    unet = tiny_unet(sample_size=16)
    unet.save_pretrained(folder / "unet")
    torch.manual_seed(1)
    layout: Any = {
        "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "latent_channels": 4, "scaling_factor": 0.5,
    }  # fmt: skip
    AutoencoderKL(**layout).save_pretrained(folder / "vae")
    four: Any = (8, 8, 8, 8)
    tiny: Any = AutoencoderTiny(encoder_block_out_channels=four, decoder_block_out_channels=four, latent_channels=4)
    tiny.save_pretrained(folder / "tiny")
    tokenizer, text_encoder = tiny_text()
    tokenizer.save_pretrained(folder / "tokenizer")
    text_encoder.save_pretrained(folder / "text_encoder")
    for network, place in ((IdentityEmbedder(), "identity"), (ExpressionEncoder(), "expression_encoder"),
                           (StudioFaceNet(), "reader/face")):  # fmt: skip
        network.save_pretrained(folder / place)
    for kind, file in (("expression", "expression"), ("identity", "expression_identity")):
        branch = preset_branch(unet, "studio", kind)
        for name, parameter in branch.named_parameters():
            if "to_v" in name:
                torch.nn.init.normal_(parameter, std=0.5)
        save_adapter(folder / "adapters" / f"{file}.safetensors", {kind: branch})
    write_corpus(folder / "pairs", people=2, per_person=2, templates=True)
    return folder


def objective(base: Path, **settings: Any) -> AlignmentObjective:
    made = AlignmentObjective(Sources((base,)), AlignmentConfig(templates=True, **settings))
    made.prepare(Corpus.load(base / "pairs"), base)
    made.train()
    return made


def step(made: AlignmentObjective, base: Path) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """Loss, gradients of what is trained, and bytes kept between forward and backward."""
    batch = made.batch(Corpus.load(base / "pairs"), np.random.default_rng(0), 3)
    counter = KeptBytes(made)
    with counter:
        loss, logs = made(batch, torch.Generator().manual_seed(0))
    assert all(float(value) > 0 for value in logs.values())
    loss.backward()
    found = {name: parameter.grad for name, parameter in made.trained().items()}
    assert all(grad is not None for grad in found.values())
    return loss.detach(), found, counter.total  # type: ignore[return-value]


@pytest.fixture(scope="module")
def plain(base: Path) -> Any:
    return step(objective(base), base)


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Distance of two gradients as a share of their length."""
    a, b = (torch.cat([grads[name].flatten() for name in sorted(one)]) for grads in (one, other))
    return float((a - b).norm() / a.norm())


def test_the_identity_only_side_is_a_target_without_a_gradient(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every term pulls at the prediction with the expression, and none at the other one."""
    made = objective(base)
    batch = made.batch(Corpus.load(base / "pairs"), np.random.default_rng(0), 2)
    random = torch.Generator().manual_seed(1)
    both, alone = (torch.randn(batch["latents"].shape, generator=random).requires_grad_() for _ in range(2))
    monkeypatch.setattr(made, "_two", lambda *_: [both, alone])
    terms = made.terms(batch, torch.Generator().manual_seed(0))
    for name, term in zip(("diffusion", "identity", "expression"), terms, strict=True):
        pulled, target = torch.autograd.grad(term, (both, alone), retain_graph=True, allow_unused=True)
        assert pulled is not None and pulled.abs().sum() > 0, name
        assert target is None, name


def test_the_loss_is_the_weighted_sum_of_its_terms(base: Path) -> None:
    made = objective(base)
    loss, logs = made(made.batch(Corpus.load(base / "pairs"), np.random.default_rng(0), 2), torch.Generator())
    expected = logs["diffusion"] + 0.08 * logs["identity"] + 10 * logs["expression"]
    torch.testing.assert_close(loss.detach(), expected)


def test_rows_beyond_the_bound_are_dropped(base: Path) -> None:
    steps = torch.tensor([10, 600, 601, 990])  # R_tmax is 600
    for inversion, counted in (("drop", [1, 1, 0, 0]), ("ani", [1, 1, 1, 1])):
        made = AlignmentObjective(Sources((base,)), AlignmentConfig.parsed({"inversion": inversion}, "it"))
        assert made._counted(steps).tolist() == counted


def test_checkpointing_gives_the_same_loss_and_gradients_from_less_memory(base: Path, plain: Any) -> None:
    loss, gradients, kept = step(objective(base, checkpointing=True), base)
    torch.testing.assert_close(loss, plain[0], rtol=1e-5, atol=1e-6)
    assert apart(plain[1], gradients) < 1e-3
    assert kept < 0.5 * plain[2]


def test_decoding_the_face_gives_the_same_loss_and_nearly_the_gradients(base: Path, plain: Any) -> None:
    loss, gradients, kept = step(objective(base, decode="face"), base)
    torch.testing.assert_close(loss, plain[0], rtol=1e-5, atol=1e-6)
    assert apart(plain[1], gradients) < 0.2  # a random reader looks at the background as well
    assert kept < plain[2]


def test_levers_go_together(base: Path, plain: Any) -> None:
    together = step(objective(base, decode="face", checkpointing=True), base)
    torch.testing.assert_close(together[0], plain[0], rtol=1e-5, atol=1e-6)
    assert apart(plain[1], together[1]) < 0.2


def test_a_tiny_decoder_takes_the_place_of_the_autoencoder(base: Path, plain: Any) -> None:
    made = objective(base, tiny_decoder=str(base / "tiny"))
    assert isinstance(made.vae, AutoencoderTiny)
    loss, _, kept = step(made, base)
    assert not torch.allclose(loss, plain[0])
    assert kept < plain[2]


def test_heads_from_files_train_the_same_parts(base: Path, shared: Path, plain: Any) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[heads]'")
    pytest.importorskip("tflite", reason="tflite is not installed: pip install 'mien[heads]'")
    from mien.faces.mediapipe_torch import TorchFaceLandmarker
    from tests.arcface import iresnet

    heads = {"identity_head": str(iresnet(base / "arcface.onnx"))}
    heads["expression_head"] = str(shared / "models" / "face_landmarker.task")
    made = objective(base, decode="face", checkpointing=True, **heads)
    assert isinstance(made.heads.embedder, OneOutput) and made.heads.crop == 112
    assert isinstance(made.heads.reader, TorchFaceLandmarker)
    loss, gradients, _ = step(made, base)
    assert torch.isfinite(loss) and gradients.keys() == plain[1].keys()
    assert all(bool(torch.isfinite(grad).all()) for grad in gradients.values())
    # each term alone moves the expression branch
    for weights in ({"w_id": 1e6, "w_exp": 0.0}, {"w_id": 0.0, "w_exp": 1e6}):
        made.zero_grad()
        for name, value in weights.items():
            setattr(made, name, value)
        moved = step(made, base)[1]
        assert apart(gradients, moved) > 0.5
    assert all(
        not parameter.requires_grad
        for part in (made.heads.embedder, made.heads.reader)
        for parameter in part.parameters()
    )


def test_landmarks_are_in_pixels_of_the_bases_pictures(base: Path) -> None:
    made = objective(base)
    corpus = Corpus.load(base / "pairs")
    small = made.batch(corpus, np.random.default_rng(0), 3)["points"]
    made.base.examples.size = 512
    torch.testing.assert_close(made.batch(corpus, np.random.default_rng(0), 3)["points"], small * 4)


def test_heads_are_paths_assets_or_the_bases_own(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Sources((base,))
    assert sources.named("identity") == base / "identity"
    assert sources.named(str(base / "tiny")) == base / "tiny"
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingAsset, match="mien assets get mediapipe-face-landmarker"):
        sources.named("mediapipe-face-landmarker")
    (tmp_path / "face_landmarker.task").touch()
    assert sources.named("mediapipe-face-landmarker") == tmp_path / "face_landmarker.task"
    with pytest.raises(MissingAsset, match=r"no nowhere\.onnx in .* give a path, or an asset"):
        sources.named("nowhere.onnx")


def test_settings_that_do_not_exist_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it: decode: Input should be 'whole' or 'face'"):
        AlignmentConfig.parsed({"decode": "nose"}, "it")
    with pytest.raises(ConfigError, match="leave kind and companions out"):
        AlignmentConfig.parsed({"companions": {}}, "it")
    with pytest.raises(MissingAsset, match="no AutoencoderTiny"):
        objective(base, tiny_decoder=str(base / "vae"))
    (tmp_path / "broken.task").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="no MediaPipe Face Landmarker bundle"):
        objective(base, expression_head=str(tmp_path / "broken.task"))


def test_ica_runs_on_a_base_of_ones_own(base: Path, tmp_path: Path) -> None:
    """The command with --base, a head from a file and all levers; the same preset as in the studio."""
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[heads]'")
    from mien.training.diffusion import studio_scheduler
    from mien.training.run import train
    from tests.arcface import iresnet

    studio_scheduler().save_pretrained(base / "scheduler")
    for needed, part in (("e-adapter-exact", "adapters"), ("expression-encoder", "expression_encoder"),
                         ("reader", "reader")):  # fmt: skip
        (tmp_path / f"studio-{needed}" / "export").mkdir(parents=True)
        (tmp_path / f"studio-{needed}" / "export" / part).symlink_to(base / part)
    options = {"templates": True, "identity_head": str(iresnet(tmp_path / "arcface.onnx")), "decode": "face",
               "checkpointing": True, "tiny_decoder": str(base / "tiny")}  # fmt: skip
    done = train(
        "studio-alignment", data=base / "pairs", base=str(base), runs=tmp_path,
        overrides={"pictures": 2, "batch": 2, "log_every": 1, "options": options},
    )  # fmt: skip
    assert done["finished"] and np.isfinite(done["logs"]["loss"])
    adapters = tmp_path / "studio-alignment" / "export" / "adapters"
    assert {path.stem for path in adapters.iterdir()} == {"expression", "expression_identity"}
