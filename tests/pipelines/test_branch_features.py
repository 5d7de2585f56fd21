"""From face crops to what branches read, with a tiny CLIP image encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from mien.adapters.published import read_adapter
from mien.errors import BadInput, MissingAsset
from mien.pipelines.features import expression_features
from mien.pipelines.image_encoder import add_image_encoder
from mien.pipelines.load import add_adapters, load
from mien.pipelines.load_options import Loading
from tests.ip_adapters import write_ip_adapter
from tests.pipelines.test_portrait_xl_pipeline import draw
from tests.tiny import tiny_condition, tiny_pipeline
from tests.tolerance import SAMPLED

SIDE, PATCH, INNER, POOLED = 32, 2, 20, 12  # 16 x 16 patches and one token more: 257, as in the published encoders


def tiny_clip() -> Any:
    torch.manual_seed(4)
    config = CLIPVisionConfig(
        image_size=SIDE, patch_size=PATCH, hidden_size=INNER, projection_dim=POOLED, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


@pytest.fixture(scope="module")
def clip() -> Any:
    return tiny_clip()


def test_crops_are_prepared_as_clips_own_processor_does(clip: Any) -> None:
    picture = torch.randint(0, 256, (SIDE, SIDE, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    size: Any = {"height": SIDE, "width": SIDE}
    pixels = CLIPImageProcessor(size=size, crop_size=size)(picture.numpy(), return_tensors="pt").pixel_values
    crop = picture.permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = clip(pixels, output_hidden_states=True)
        torch.testing.assert_close(expression_features(clip, crop), expected.image_embeds, **SAMPLED)
        inner = expression_features(clip, crop, inner=True)
    torch.testing.assert_close(inner, expected.hidden_states[-2], **SAMPLED)
    assert expression_features(clip, torch.rand(2, 3, 50, 50)).shape == (2, POOLED)


@pytest.mark.parametrize(("layout", "features"), [("plain", POOLED), ("plus", INNER)])
def test_an_image_prompt_from_a_crop(clip: Any, layout: str, features: int, tmp_path: Path) -> None:
    pipeline = tiny_pipeline(())
    add_adapters(pipeline, (str(write_ip_adapter(pipeline.unet, tmp_path / "a.safetensors", layout, features)),))
    crop = torch.rand(1, 3, 40, 40) * 2 - 1
    with pytest.raises(BadInput, match="no expression encoder"):
        draw(pipeline, 0, expression=crop)
    pipeline.register_modules(expression_encoder=clip)
    found = draw(pipeline, 0, expression=crop)
    with torch.no_grad():
        own = expression_features(clip, crop, inner=layout == "plus")
        nothing = clip(torch.zeros(1, 3, SIDE, SIDE), output_hidden_states=True).hidden_states[-2]
    if layout == "plus":
        assert torch.equal(pipeline.adapters["expression"].encoder.absent, nothing)
    assert torch.equal(draw(pipeline, 0, expression=own), found)
    assert not torch.equal(draw(pipeline, 0, expression=-crop), found)


def test_faceid_plus_looks_at_the_face(clip: Any, tmp_path: Path) -> None:
    pipeline = tiny_pipeline(())
    file = write_ip_adapter(pipeline.unet, tmp_path / "faceid-plusv2.bin", "faceid-plus", INNER)
    add_adapters(pipeline, (str(file),))
    asked: dict[str, Any] = {"identity": tiny_condition("identity", 2), "identity_mode": "branch", "prompt": "red hair"}
    faces = torch.rand(2, 3, 40, 40)
    with pytest.raises(BadInput, match="give identity_picture"):
        draw(pipeline, 0, 1, **asked)
    pipeline.register_modules(expression_encoder=clip)
    with pytest.raises(BadInput, match="give identity_picture"):
        draw(pipeline, 0, 1, **asked)
    found = draw(pipeline, 0, 1, **asked, identity_picture=faces)
    assert not torch.equal(draw(pipeline, 0, 1, **asked, identity_picture=faces.flip(0)), found)
    torch.testing.assert_close(
        draw(pipeline, 0, 0, **asked, identity_picture=faces, num_images_per_prompt=1)[:1], found[:1]
    )
    with pytest.raises(BadInput, match="needs an identity branch"):
        draw(pipeline, 0, identity=torch.zeros(1, 258, 512), identity_mode="prompt")


def test_the_image_encoder_is_found_or_given(clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setattr("mien.pipelines.image_encoder._ASSETS", {("linear", POOLED): "ip-adapter-image-encoder-vit-h"})
    pipeline: Any = tiny_pipeline(())
    add_adapters(pipeline, (str(write_ip_adapter(pipeline.unet, tmp_path / "a.safetensors", "plain", POOLED)),))
    add_image_encoder(pipeline, None)
    assert "image_encoder" not in pipeline.parts, "it is not here, and features can be given without"
    place = tmp_path / "assets" / "ip-adapter-image-encoder-vit-h" / "models" / "image_encoder"
    clip.save_pretrained(place)
    add_image_encoder(pipeline, None)
    assert pipeline.expression_encoder.config.projection_dim == POOLED
    assert pipeline.parts["image_encoder"] == place
    other: Any = tiny_pipeline(())
    add_image_encoder(other, place)
    assert other.expression_encoder is not None
    (place / "model.safetensors").rename(place / "model.fp16.safetensors")  # as it is often published
    again: Any = tiny_pipeline(())
    add_image_encoder(again, place)
    stated = other.expression_encoder.state_dict()
    assert all(torch.equal(value, stated[key]) for key, value in again.expression_encoder.state_dict().items())
    with pytest.raises(BadInput, match="holds no CLIP image encoder"):
        add_image_encoder(other, tmp_path)


def test_adapters_by_the_name_of_an_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    tiny_pipeline(()).save_pretrained(tmp_path / "base")
    settings: dict[str, Any] = {"device": "cpu", "adapters": ("ip-adapter-faceid-sd15",)}
    with pytest.raises(MissingAsset, match="mien assets get ip-adapter-faceid-sd15"):
        load(str(tmp_path / "base"), Loading(**settings))
    folder = tmp_path / "assets" / "ip-adapter-faceid-sd15"
    folder.mkdir(parents=True)
    write_ip_adapter(tiny_pipeline(()).unet, folder / "ip-adapter-faceid_sd15.bin", "faceid", 512, rank=4)
    pipeline = load(str(tmp_path / "base"), Loading(**settings))
    assert list(pipeline.adapters) == ["identity"]
    assert pipeline.parts["adapter:1"].parent == folder
    assert read_adapter(folder / "ip-adapter-faceid_sd15.bin", pipeline.unet)["identity"].low_rank is not None


@pytest.mark.parametrize(("layout", "width"), [("plain", POOLED), ("plus", INNER), ("faceid-plus", INNER)])
def test_an_image_encoder_of_another_width_is_refused_before_drawing(
    layout: str, width: int, clip: Any, tmp_path: Path
) -> None:
    """It was a traceback in IP-Adapter and Plus."""
    clip.save_pretrained(tmp_path / "encoder")
    for features, fits in ((width, True), (width + 8, False)):
        pipeline: Any = tiny_pipeline(())
        file = write_ip_adapter(pipeline.unet, tmp_path / f"plusv2-{features}.safetensors", layout, features)
        add_adapters(pipeline, (str(file),))
        if fits:
            add_image_encoder(pipeline, tmp_path / "encoder")
            continue
        told = rf"reads features {features} wide, and this image encoder's are {width}"
        with pytest.raises(BadInput, match=told):
            add_image_encoder(pipeline, tmp_path / "encoder")
        asked: dict[str, Any] = {"expression": torch.zeros(1, 3, SIDE, SIDE)}
        if layout == "faceid-plus":
            asked = {"identity": tiny_condition("identity", 1), "identity_mode": "branch"}
            asked["identity_picture"] = torch.zeros(1, 3, SIDE, SIDE)
        with pytest.raises(BadInput, match=told):
            draw(pipeline, 0, prompt="red hair", **asked)


def test_vectors_of_another_width_are_refused() -> None:
    pipeline = tiny_pipeline()
    with pytest.raises(BadInput, match="identity branch reads vectors of 512 numbers, not of 256"):
        draw(pipeline, 0, identity=torch.ones(1, 256), identity_mode="branch")
    with pytest.raises(BadInput, match="expression branch reads vectors of 20 numbers, not of 24"):
        draw(pipeline, 0, expression=torch.ones(1, 5, 24))


def test_an_encoder_that_lacks_weights_is_refused(clip: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    clip.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]  # as CLIPVisionModel writes it: the projection was drawn at random
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"lacks 1 weights, such as visual_projection\.weight"):
        add_image_encoder(tiny_pipeline(()), tmp_path)


def test_an_adapter_without_its_encoder_names_the_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was said to have no adapter for landmarks."""
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    pipeline: Any = tiny_pipeline(())
    file = write_ip_adapter(pipeline.unet, tmp_path / "ip-adapter.safetensors", "plain", 1024)
    add_adapters(pipeline, (str(file),))
    add_image_encoder(pipeline, None)
    with pytest.raises(BadInput, match=r"reads pictures through .*mien assets get ip-adapter-image-encoder-vit-h"):
        draw(pipeline, 0, landmarks=tiny_condition("landmarks", 1))
