"""Adapters of others draw what stock diffusers draws with them, and ours do there what they do here."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mien.adapters import Branch, Injection, load_adapter, save_adapter
from mien.adapters.encoders.resampler import face_and_picture
from mien.adapters.export import export_ip_adapter
from mien.adapters.published import read_adapter
from mien.diffusion.guidance import Difference, Guidance
from mien.errors import ConfigError, MissingAsset
from tests.ip_adapters import write_ip_adapter
from tests.pipelines.test_portrait_xl_pipeline import draw, generators, stock
from tests.tiny import tiny_branch, tiny_condition, tiny_pipeline, tiny_sdxl_unet, tiny_unet, tiny_xl_pipeline
from tests.tolerance import SAMPLED

WEIGHT, SCALE = 3.0, 0.7
MADE = {"sd": tiny_pipeline, "sdxl": tiny_xl_pipeline}


def ours(pipeline: Any, kind: str, condition: Tensor, prompts: list[str]) -> Tensor:
    """As stock diffusers guides: text and picture together against neither."""
    together = Guidance((Difference("text", WEIGHT, frozenset({"text", kind}), frozenset()),))
    options: dict[str, Any] = {kind: condition, "identity_mode": "branch", "scales": {kind: SCALE}}
    return draw(pipeline, 1, 2, prompt=prompts, guidance=together, **options)


def theirs(own: Any, file: Path, condition: Tensor, absent: Tensor, prompts: list[str], prepare: Any = None) -> Tensor:
    own.load_ip_adapter(file.parent, subfolder="", weight_name=file.name, image_encoder_folder=None)
    own.set_ip_adapter_scale(SCALE)
    settings: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": WEIGHT, "output_type": "latent"}
    found = []
    for row, prompt in enumerate(prompts):  # one by one: in a batch diffusers mixes the pictures' embeddings
        if prepare is not None:
            prepare(own.unet.encoder_hid_proj.image_projection_layers[0], slice(row, row + 1))
        embeds = [torch.cat([absent[row : row + 1], condition[row : row + 1]])]
        generator = generators(1 + row)
        found.append(own(prompt=prompt, ip_adapter_image_embeds=embeds, generator=generator, **settings).images)
    return torch.cat(found)


PROMPTS = ["red hair", "teal background"]


@pytest.mark.parametrize("base", ["sd", "sdxl"])
@pytest.mark.parametrize(
    ("layout", "kind", "features", "suffix", "rank"),
    [
        ("plain", "expression", 20, ".safetensors", 0),
        ("faceid", "identity", 512, ".bin", 0),
        ("faceid", "identity", 512, ".bin", 4),
        ("faceid", "expression", 55, ".bin", 0),  # Arc2Face's expression adapter
    ],
    ids=["ip-adapter", "faceid", "faceid-lora", "exp-adapter"],
)
def test_a_published_adapter_draws_what_diffusers_draws(
    base: str, layout: str, kind: str, features: int, suffix: str, rank: int, tmp_path: Path
) -> None:
    pipeline = MADE[base](())
    file = write_ip_adapter(pipeline.unet, tmp_path / f"adapter{suffix}", layout, features, rank)
    pipeline.adapters = read_adapter(file, pipeline.unet)
    assert list(pipeline.adapters) == [kind]
    condition = torch.randn(2, features, generator=torch.Generator().manual_seed(3))
    if kind == "identity":
        condition = torch.nn.functional.normalize(condition, dim=-1)
    without = draw(pipeline, 1, 2, prompt=PROMPTS, guidance={"text": WEIGHT})
    found = ours(pipeline, kind, condition, PROMPTS)
    assert torch.equal(draw(pipeline, 1, 2, prompt=PROMPTS, guidance={"text": WEIGHT}), without), "ejected whole"
    absent = torch.zeros(2, 1, features)
    expected = theirs(stock(MADE[base](())), file, condition[:, None], absent, PROMPTS)
    torch.testing.assert_close(found, expected, **SAMPLED)
    assert (found - without).abs().amax() > 0.05


def test_a_resampler_draws_what_diffusers_draws(tmp_path: Path) -> None:
    pipeline = tiny_pipeline(())
    file = write_ip_adapter(pipeline.unet, tmp_path / "ip-adapter-plus_sd15.safetensors", "plus", 20)
    pipeline.adapters = read_adapter(file, pipeline.unet)
    random = torch.Generator().manual_seed(3)
    features, absent = torch.randn(2, 7, 20, generator=random), torch.randn(1, 7, 20, generator=random)
    pipeline.adapters["expression"].encoder.absent = absent
    found = ours(pipeline, "expression", features, PROMPTS)
    nobody = absent.expand(2, -1, -1)[:, None]
    expected = theirs(stock(tiny_pipeline(())), file, features[:, None], nobody, PROMPTS)
    torch.testing.assert_close(found, expected, **SAMPLED)


@pytest.mark.parametrize("name", ["ip-adapter-faceid-plusv2_sd15.bin", "ip-adapter-faceid-plus_sd15.bin"])
def test_faceid_plus_draws_what_diffusers_draws(name: str, tmp_path: Path) -> None:
    pipeline = tiny_pipeline(())
    file = write_ip_adapter(pipeline.unet, tmp_path / name, "faceid-plus", 20, rank=4)
    pipeline.adapters = read_adapter(file, pipeline.unet)
    encoder: Any = pipeline.adapters["identity"].encoder
    assert encoder.net.shortcut == ("v2" in name)
    face = torch.nn.functional.normalize(tiny_condition("identity", 2), dim=-1)
    features = torch.randn(2, 257, 20, generator=torch.Generator().manual_seed(3))
    found = ours(pipeline, "identity", face_and_picture(face, features), PROMPTS)

    def prepare(layer: Any, row: slice) -> None:
        layer.shortcut = "v2" in name
        layer.clip_embeds = torch.cat([torch.zeros_like(features[row]), features[row]])[:, None]

    expected = theirs(stock(tiny_pipeline(())), file, face[:, None], torch.zeros(2, 1, 512), PROMPTS, prepare)
    torch.testing.assert_close(found, expected, **SAMPLED)


@pytest.mark.parametrize("base", ["sd", "sdxl"])
@pytest.mark.parametrize(("kind", "rank"), [("expression", 0), ("identity", 0), ("identity", 3)])
def test_an_exported_branch_draws_the_same_in_stock_diffusers(base: str, kind: str, rank: int, tmp_path: Path) -> None:
    pipeline = MADE[base](())
    encoder = {
        "expression": {"feature_dim": 20, "tokens": 4, "pooled": True},
        "identity": {"embedding_dim": 512, "hidden": 1024, "tokens": 4},
    }[kind]
    branch = tiny_branch(pipeline.unet, kind, 32, encoder=encoder, null="zeros", lora_rank=rank)
    for name, value in branch.named_parameters():
        if ".up." in name:
            torch.nn.init.normal_(value, std=0.2)
    pipeline.adapters = {kind: branch}
    condition = tiny_condition("identity", 2) if kind == "identity" else torch.randn(2, 20)
    if kind == "identity":
        condition = torch.nn.functional.normalize(condition, dim=-1)
    export_ip_adapter(branch, pipeline.unet, tmp_path / "out.safetensors")
    found = ours(pipeline, kind, condition, PROMPTS)
    absent = torch.zeros(2, 1, condition.shape[1])
    expected = theirs(stock(MADE[base](())), tmp_path / "out.safetensors", condition[:, None], absent, PROMPTS)
    torch.testing.assert_close(found, expected, **SAMPLED)
    assert (found - draw(pipeline, 1, 2, prompt=PROMPTS, guidance={"text": WEIGHT})).abs().amax() > 0.05
    (again,) = read_adapter(tmp_path / "out.safetensors", pipeline.unet).values()
    assert again.state_dict().keys() == branch.state_dict().keys()
    assert all(torch.equal(value, branch.state_dict()[key]) for key, value in again.state_dict().items())


def test_a_branch_of_few_blocks_is_exported_too(tmp_path: Path) -> None:
    from mien.adapters import describe_unet, select_blocks

    pipeline = tiny_pipeline(())
    few = select_blocks(describe_unet(pipeline.unet), "mid_block/*")
    encoder = {"feature_dim": 20, "tokens": 4, "pooled": True}
    branch = tiny_branch(pipeline.unet, "expression", 32, encoder=encoder, null="zeros", blocks=few)
    pipeline.adapters = {"expression": branch}
    condition = torch.randn(2, 20)
    export_ip_adapter(branch, pipeline.unet, tmp_path / "out.safetensors", dtype=torch.float32)
    expected = theirs(
        stock(tiny_pipeline(())), tmp_path / "out.safetensors", condition[:, None], torch.zeros(2, 1, 20), PROMPTS
    )
    torch.testing.assert_close(ours(pipeline, "expression", condition, PROMPTS), expected, **SAMPLED)


def test_what_the_layout_cannot_say_is_not_exported(tmp_path: Path) -> None:
    unet = tiny_unet()
    good = {"feature_dim": 20, "tokens": 4, "pooled": True}
    cases: list[tuple[str, Branch]] = [
        ("no place there", tiny_branch(unet, "landmarks", 32, null="zeros")),
        ("makes 5 tokens", tiny_branch(unet, "expression", 32, encoder=good | {"tokens": 5}, null="zeros")),
        ("16 wide, not 32", tiny_branch(unet, "expression", 16, encoder=good, null="zeros")),
        ("is cut there", tiny_branch(unet, "expression", 32, encoder=good)),
        ("serial site", tiny_branch(unet, "expression", 32, encoder=good, null="zeros", site="serial")),
    ]
    for told, branch in cases:
        with pytest.raises(ConfigError, match=told):
            export_ip_adapter(branch, unet, tmp_path / "out.safetensors")
    branch = tiny_branch(unet, "expression", 32, encoder=good, null="zeros")
    with pytest.raises(ConfigError, match="another base"):
        export_ip_adapter(branch, tiny_sdxl_unet(), tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


def test_one_file_of_ours_holds_everything(tmp_path: Path) -> None:
    unet = tiny_unet()
    for layout, features, rank in (("faceid", 512, 4), ("plus", 20, 0), ("faceid-plus", 20, 2), ("plain", 20, 0)):
        file = write_ip_adapter(unet, tmp_path / f"{layout}.bin", layout, features, rank)
        found = read_adapter(file, unet)
        save_adapter(tmp_path / "ours.safetensors", found)
        (branch,), (again,) = found.values(), load_adapter(tmp_path / "ours.safetensors").values()
        condition = torch.randn(1, *branch.encoder.condition_shape)
        assert torch.equal(again.encode(condition), branch.encode(condition))
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in branch.state_dict().items())
        assert read_adapter(tmp_path / "ours.safetensors", unet).keys() == found.keys()


def test_a_lora_of_a_branch_leaves_no_trace_and_learns() -> None:
    unet = tiny_unet()
    branch = tiny_branch(unet, "identity", lora_rank=4)
    inputs = torch.randn(2, 4, 8, 8), torch.tensor(10), torch.randn(2, 24, 32)
    tokens = {"identity": branch.encode(tiny_condition("identity", 2))}
    keys, hooks = set(unet.state_dict()), sum(len(one._forward_hooks) for one in unet.modules())
    before = unet(*inputs).sample
    with Injection(unet, [branch]) as injection:
        assert set(unet.state_dict()) == keys
        fresh = unet(*inputs, cross_attention_kwargs=injection.condition(tokens, {"identity": 0.0})).sample
        assert torch.equal(fresh, before), "a fresh LoRA adds exactly nothing"
        unet(*inputs, cross_attention_kwargs=injection.condition(tokens)).sample.square().mean().backward()
    ups = [value.grad for name, value in branch.named_parameters() if ".up." in name]
    assert len(ups) == 4 * 14 and all(grad is not None and grad.abs().sum() > 0 for grad in ups)
    with torch.no_grad():
        for name, value in branch.named_parameters():
            if ".up." in name:
                value.fill_(0.1)
        with Injection(unet, [branch]) as injection:
            inside = unet(*inputs, cross_attention_kwargs=injection.condition(tokens, {"identity": 0.0})).sample
        assert not torch.equal(inside, before)
        assert torch.equal(unet(*inputs).sample, before)
    assert sum(len(one._forward_hooks) for one in unet.modules()) == hooks
    assert branch.parts()["lora"] == sum(
        value.numel() for name, value in branch.named_parameters() if "low_rank." in name
    )


def test_files_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    unet = tiny_unet()
    with pytest.raises(MissingAsset, match="no adapter file"):
        read_adapter(tmp_path / "no.bin", unet)

    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("opened",))

    (tmp_path / "evil.bin").write_bytes(pickle.dumps({"image_proj": Evil()}))
    with pytest.raises(ConfigError, match="more than tensors"):
        read_adapter(tmp_path / "evil.bin", unet)
    torch.save({"other": {}}, tmp_path / "other.bin")
    with pytest.raises(ConfigError, match="lacks image_proj and ip_adapter"):
        read_adapter(tmp_path / "other.bin", unet)
    (tmp_path / "broken.safetensors").write_bytes(b"{}")
    with pytest.raises(ConfigError, match="not a safetensors file"):
        read_adapter(tmp_path / "broken.safetensors", unet)
    file = write_ip_adapter(unet, tmp_path / "a.safetensors", "plain", 20)
    with pytest.raises(ConfigError, match="made for another base"):
        read_adapter(file, tiny_sdxl_unet())
    wide: Any = tiny_unet(cross_attention_dim=48)
    with pytest.raises(ConfigError, match="made for another base"):
        read_adapter(file, tiny_unet(block_out_channels=(16, 64)))
    assert read_adapter(file, wide)["expression"].config["token_dim"] == 32  # its own text width does not matter
    weights = load_file(file)
    del weights["image_proj.proj.weight"]
    save_file(weights, file)
    with pytest.raises(ConfigError, match="in a way mien does not know"):
        read_adapter(file, unet)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_instantids_file_is_called_what_it_is(tmp_path: Path) -> None:
    """It was read as an expression adapter, and converted into one."""
    unet = tiny_unet()
    file = write_ip_adapter(unet, tmp_path / "ip-adapter.bin", "plus", 512)
    with pytest.raises(ConfigError, match="is InstantID's adapter, which draws only beside InstantID's ControlNet"):
        read_adapter(file, unet)


def test_published_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    unet = tiny_unet()
    for name in ("a.bin", "a.safetensors"):
        file = write_ip_adapter(unet, tmp_path / name, "plain", 20)
        parts: Any = torch.load(file, weights_only=True) if name == "a.bin" else load_file(file)
        weights = parts["ip_adapter"] if name == "a.bin" else parts
        next(iter(weights.values())).view(-1)[0] = float("nan")
        torch.save(parts, file) if name == "a.bin" else save_file(parts, file)
        with pytest.raises(ConfigError, match="holds values that are not finite"):
            read_adapter(file, unet)


def test_faceid_plus_without_its_version_in_its_name_is_taken_with_a_word(tmp_path: Path) -> None:
    unet = tiny_unet()
    file = write_ip_adapter(unet, tmp_path / "mine.safetensors", "faceid-plus", 20)
    with pytest.warns(UserWarning, match="if it is Plus v2, let its name say plusv2"):
        read_adapter(file, unet)
