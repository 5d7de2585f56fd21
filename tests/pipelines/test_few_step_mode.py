"""``speed="few"``: a distilled LoRA is in the UNet while a picture is drawn, and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.pipelines import pipeline_utils
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mien.errors import BadInput, ConfigError, MissingAsset
from mien.pipelines import PortraitPipeline, few_step
from mien.pipelines.few_step import FILE, FewStep, Folded, is_few_step, read_few_step, save_few_step, truncated, widened
from tests.tiny import tiny_condition, tiny_pipeline, tiny_unet

SETTINGS = FewStep(steps=3, guidance={"text": 2.5, "identity": 4.0, "landmarks": 2.0, "emotion": 2.0})
CONVOLUTION, LINEAR = "mid_block.resnets.0.conv1", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def tiny_lora(unet: Any, rank: int = 2) -> dict[str, torch.Tensor]:
    """A LoRA of peft's on one layer of each kind, that does something."""
    from peft import LoraConfig, get_peft_model_state_dict

    copy = tiny_unet()
    copy.load_state_dict(unet.state_dict())
    copy.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=[CONVOLUTION, LINEAR]))
    generator = torch.Generator().manual_seed(3)
    found = get_peft_model_state_dict(copy)
    return {name: torch.randn(value.shape, generator=generator).half().float() * 0.5 for name, value in found.items()}


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    found = tiny_pipeline(("landmarks", "emotion"))
    save_few_step(tmp_path / FILE, tiny_lora(found.unet), SETTINGS)
    found.folder = tmp_path
    return found


def _draw(pipeline: Any, **options: Any) -> torch.Tensor:
    given = {"landmarks": tiny_condition("landmarks", 2), "emotion": tiny_condition("emotion", 2)}
    return pipeline(
        **given, prompt="red hair", generator=[torch.Generator().manual_seed(seed) for seed in range(2)],
        output_type="latent", **options,
    ).images  # fmt: skip


def test_exact_pictures_are_the_same_before_and_after(pipeline: Any) -> None:
    keys = list(pipeline.unet.state_dict())
    weights = {name: (value.data_ptr(), value.clone()) for name, value in pipeline.unet.state_dict().items()}
    before = _draw(pipeline, num_inference_steps=4)
    scheduler = pipeline.scheduler
    few = _draw(pipeline, speed="few")
    assert torch.equal(_draw(pipeline, num_inference_steps=4), before) and not torch.equal(few, before)
    assert list(pipeline.unet.state_dict()) == keys and pipeline.scheduler is scheduler
    for name, value in pipeline.unet.state_dict().items():
        assert value.data_ptr() == weights[name][0] and torch.equal(value, weights[name][1]), name


def test_an_error_leaves_the_base_as_it_was(pipeline: Any) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    scheduler = pipeline.scheduler
    with pytest.raises(KeyboardInterrupt):
        _draw(pipeline, speed="few", callback_on_step_end=stop)
    assert pipeline.scheduler is scheduler
    assert all(torch.equal(value, before[name]) for name, value in pipeline.unet.state_dict().items())


def test_one_evaluation_a_step_with_every_condition(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, set[str]]] = []
    forward = pipeline.unet.forward

    def counted(sample: Any, timestep: Any, *rest: Any, **options: Any) -> Any:
        plan = options["cross_attention_kwargs"]["mien"]
        calls.append((len(sample), int(timestep), {term.name for term in plan.terms}))
        return forward(sample, timestep, *rest, **options)

    monkeypatch.setattr(pipeline.unet, "forward", counted)
    _draw(pipeline, speed="few")
    assert [(rows, time) for rows, time, _ in calls] == [(2, 999), (2, 666), (2, 332)]
    assert all(names == {"landmarks", "emotion"} for _, _, names in calls)


def test_fused_weights_are_what_peft_computes() -> None:
    """The same LoRA through diffusers' own loader, from the same file."""
    unet, other = tiny_unet(), tiny_unet()
    lora = tiny_lora(unet)
    x, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    with torch.no_grad():
        plain = unet(x, 10, text).sample
        with Folded().into(unet, lora):
            found = unet(x, 10, text).sample
        assert torch.equal(unet(x, 10, text).sample, plain) and not torch.allclose(found, plain, atol=1e-2)
        other.load_lora_adapter({f"unet.{name}": value for name, value in lora.items()}, prefix="unet")
        torch.testing.assert_close(other(x, 10, text).sample, found, atol=1e-4, rtol=1e-3)


def test_weights_are_folded_once_and_again_when_they_change(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    product = few_step._product
    monkeypatch.setattr(few_step, "_product", lambda layer, *rest: made.append(layer) or product(layer, *rest))
    plain = _draw(pipeline, speed="few")
    assert torch.equal(_draw(pipeline, speed="few"), plain) and sorted(made) == [LINEAR, CONVOLUTION]
    weight = pipeline.unet.get_submodule(LINEAR).weight
    own = weight.data.clone()
    weight.data += 0.01 * torch.randn(own.shape, generator=torch.Generator().manual_seed(0))  # as fuse_lora does
    assert not torch.equal(_draw(pipeline, speed="few"), plain) and made[2:] == [LINEAR]
    weight.data = own
    assert torch.equal(_draw(pipeline, speed="few"), plain) and made[3:] == [LINEAR]


def test_a_style_lora_stays_beneath(pipeline: Any, tmp_path: Path) -> None:
    style = {f"unet.{name}": value for name, value in tiny_lora(pipeline.unet, rank=1).items()}
    pipeline.unet.requires_grad_(False)  # as PEFT leaves it; torch.matmul's kernel, and so the last bits, depend on it
    plain = _draw(pipeline, speed="few")
    pipeline.load_lora_weights(style, adapter_name="style")
    assert not torch.allclose(_draw(pipeline, speed="few"), plain, atol=1e-3)
    pipeline.delete_adapters("style")
    pipeline.unload_lora_weights()
    assert torch.equal(_draw(pipeline, speed="few"), plain)


@pytest.mark.parametrize(
    "asked",
    [
        {"guidance": {"landmarks": 3.0}}, {"guidance_rescale": 0.5}, {"negative_prompt": "glasses"},
        {"num_inference_steps": 25},
    ],
)  # fmt: skip
def test_what_is_inside_cannot_be_changed(pipeline: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"few-step mode .* leave"):
        _draw(pipeline, speed="few", **asked)


def test_what_is_inside_may_be_said(pipeline: Any) -> None:
    said = _draw(pipeline, speed="few", guidance={"landmarks": 2.0}, num_inference_steps=3)
    assert torch.equal(said, _draw(pipeline, speed="few"))


def test_scales_act_as_always(pipeline: Any) -> None:
    plain = _draw(pipeline, speed="few")
    assert not torch.allclose(_draw(pipeline, speed="few", scales={"landmarks": 0.0}), plain, atol=1e-3)


def test_a_base_without_the_weights_says_what_to_do() -> None:
    with pytest.raises(MissingAsset, match=r"mien train .* exact or fast"):
        _draw(tiny_pipeline(("landmarks", "emotion")), speed="few")


def test_weights_of_another_base_are_refused(pipeline: Any) -> None:
    lora = pipeline.few_step_weights()
    there = lora.tensors.pop(f"{LINEAR}.lora_B.weight")
    lora.tensors[f"{LINEAR}.lora_B.weight"] = torch.randn(len(there) + 1, there.shape[1])
    before = pipeline.unet.state_dict()[f"{CONVOLUTION}.weight"].clone()
    with pytest.raises(ConfigError, match="another base"):
        _draw(pipeline, speed="few")
    assert torch.equal(pipeline.unet.state_dict()[f"{CONVOLUTION}.weight"], before)


def test_a_saved_pipeline_keeps_the_mode(pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "saved")
    again = PortraitPipeline.from_pretrained(tmp_path / "saved")
    again.set_progress_bar_config(disable=True)
    assert torch.equal(_draw(again, speed="few"), _draw(pipeline, speed="few"))


def test_what_is_pushed_to_the_hub_is_whole(pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[str] = []

    def upload(_: Any, folder: str, *__: Any, **___: Any) -> None:
        pushed.extend(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))

    monkeypatch.setattr(pipeline_utils, "create_repo", lambda *_, **__: SimpleNamespace(repo_id="me/portraits"))
    monkeypatch.setattr(pipeline_utils, "load_or_create_model_card", lambda *_, **__: None)
    monkeypatch.setattr(pipeline_utils, "populate_model_card", lambda *_, **__: SimpleNamespace(save=lambda path: path))
    monkeypatch.setattr(PortraitPipeline, "_upload_folder", upload)
    pipeline.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="me/portraits")
    assert {"model_index.json", FILE, "adapters/landmarks.safetensors", "adapters/emotion.safetensors"} <= set(pushed)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = tiny_lora(tiny_unet())
    save_few_step(tmp_path / FILE, tensors, SETTINGS)
    found = read_few_step(tmp_path / FILE)
    assert found.settings == SETTINGS and is_few_step(tmp_path / FILE)
    assert found.tensors.keys() == tensors.keys()
    assert all(torch.equal(found.tensors[name], value.half()) for name, value in tensors.items())


def test_a_lower_rank_is_the_best_one() -> None:
    tensors = tiny_lora(tiny_unet(), rank=3)
    for layer in (CONVOLUTION, LINEAR):
        whole = tensors[f"{layer}.lora_B.weight"].flatten(1) @ tensors[f"{layer}.lora_A.weight"].flatten(1)
        strength = torch.linalg.svdvals(whole)
        for rank in (1, 2, 3, 9):
            found = truncated(tensors, rank)
            down, up = found[f"{layer}.lora_A.weight"], found[f"{layer}.lora_B.weight"]
            assert len(down) == min(rank, 3) and down.shape[1:] == tensors[f"{layer}.lora_A.weight"].shape[1:]
            left = (up.flatten(1) @ down.flatten(1) - whole).norm()
            torch.testing.assert_close(left, strength[rank:].norm(), atol=1e-3, rtol=1e-3)


def test_a_lora_begins_one_of_a_larger_rank() -> None:
    small, large = (tiny_lora(tiny_unet(), rank=rank) for rank in (1, 3))
    found = widened(small, large)
    for layer in (CONVOLUTION, LINEAR):
        down, up = found[f"{layer}.lora_A.weight"], found[f"{layer}.lora_B.weight"]
        before = small[f"{layer}.lora_B.weight"].flatten(1) @ small[f"{layer}.lora_A.weight"].flatten(1)
        torch.testing.assert_close(up.flatten(1) @ down.flatten(1), before)
        assert torch.equal(down[1:], large[f"{layer}.lora_A.weight"][1:])
    with pytest.raises(ConfigError, match="have rank 3 and shape"):
        widened(large, small)
    with pytest.raises(ConfigError, match="other layers"):
        widened({name: value for name, value in small.items() if LINEAR not in name}, large)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    file = tmp_path / FILE
    save_few_step(file, tiny_lora(tiny_unet()), SETTINGS)
    tensors = load_file(file)
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata()
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    for changed, values, told in (
        (metadata, tensors, "half of a LoRA"),
        (metadata | {"version": "2"}, load_file(file), "update mien"),
        (metadata | {"config": '{"steps": 3, "guidance": {}, "more": 1}'}, load_file(file), "no readable settings"),
        (metadata | {"config": "{"}, load_file(file), "no readable settings"),
    ):
        save_file(values, tmp_path / "other.safetensors", metadata=changed)
        with pytest.raises(ConfigError, match=told):
            read_few_step(tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    assert not is_few_step(tmp_path / "text.safetensors")
    with pytest.raises(ConfigError, match="not a safetensors file"):
        read_few_step(tmp_path / "text.safetensors")
