"""Adapters and LoRA files on top of a base, devices and precision."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.adapters import Injection, save_adapter
from mien.errors import BadInput, ConfigError, MienError, MissingAsset
from mien.models import StudioAutoencoder
from mien.pipelines.load import choose_device, load, without_bars
from mien.pipelines.load_options import Loading, Lora
from mien.pipelines.loras import add_loras
from mien.pipelines.schedulers import sampling_with
from tests.pipelines.test_portrait_xl_pipeline import draw, generators, stock
from tests.tiny import tiny_branch, tiny_condition, tiny_pipeline, tiny_xl_pipeline
from tests.tolerance import PASS, SAMPLED

ALPHA, RANK = 2.0, 4


def write_lora(pipeline: Any, path: Path, parts: tuple[str, ...] = ("unet", "text_encoder")) -> dict[str, Tensor]:
    """A LoRA in kohya's layout, in which LCM-LoRA and most others are published; returns what each weight gains."""
    random = torch.Generator().manual_seed(7)
    weights, added = {}, {}
    for part, prefix in (("unet", "lora_unet"), ("text_encoder", "lora_te"), ("text_encoder_2", "lora_te2")):
        if part not in parts:
            continue
        model = getattr(pipeline, part)
        if part == "text_encoder" and "text_encoder_2" in pipeline.components:
            prefix = "lora_te1"
        # files name the text model's layers as transformers did before its fifth release
        inner = "" if part == "unet" or next(iter(model.state_dict())).startswith("text_model") else "text_model."
        for name, module in model.named_modules():
            if not isinstance(module, nn.Linear) or "attn" not in name:
                continue
            down = torch.randn(RANK, module.in_features, generator=random) * 0.2
            up = torch.randn(module.out_features, RANK, generator=random) * 0.2
            key = f"{prefix}_{(inner + name).replace('.', '_')}"
            weights |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            weights[f"{key}.alpha"] = torch.tensor(ALPHA)
            added[f"{part}.{name}.weight"] = up @ down * (ALPHA / RANK)
    save_file(weights, path)
    return added


def merge(pipeline: Any, added: dict[str, Tensor], weight: float) -> None:
    with torch.no_grad():
        for name, change in added.items():
            part, _, rest = name.partition(".")
            getattr(pipeline, part).get_parameter(rest).add_(change, alpha=weight)


def clone_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


CONDITIONS = {kind: tiny_condition(kind, 1) for kind in ("identity", "landmarks")}
ASKED: dict[str, Any] = {"prompt": "red hair", "guidance": {"text": 3.0}, "identity_mode": "branch", **CONDITIONS}


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_xl_pipeline])
def test_a_lora_is_the_sum_of_weights(make: Any, tmp_path: Path) -> None:
    pipeline, merged = make(), make()
    parts = ("unet", "text_encoder", *(["text_encoder_2"] if make is tiny_xl_pipeline else []))
    added = write_lora(pipeline, tmp_path / "lora.safetensors", parts)
    assert {name.partition(".")[0] for name in added} == set(parts)
    # PEFT leaves the base's weights without requires_grad. torch.matmul reads that flag, even under no_grad, to choose
    # between one product and a batch of them, which MKL sums in different orders on Intel's processors. The base is
    # frozen from the start here, so that the pictures before and after are the same computation.
    for part in parts:
        getattr(pipeline, part).requires_grad_(False)
    weights = {part: clone_state(getattr(pipeline, part)) for part in parts}
    before, null = draw(pipeline, 0, **ASKED), pipeline.encode_null("teal").clone()
    add_loras(pipeline, (Lora(file=tmp_path / "lora.safetensors", weight=0.5),))
    found = draw(pipeline, 0, **ASKED)
    merge(merged, added, 0.5)
    torch.testing.assert_close(found, draw(merged, 0, **ASKED), atol=1e-3, rtol=1e-3)
    assert (found - before).abs().amax() > 0.05
    torch.testing.assert_close(pipeline.encode_null("teal"), merged.encode_null("teal"), **PASS)
    assert not torch.allclose(pipeline.encode_null("teal"), null, atol=1e-3)
    pipeline.set_adapters("lora0", 0.0)
    torch.testing.assert_close(draw(pipeline, 0, **ASKED), before, **SAMPLED)
    pipeline.unload_lora_weights()
    for part, state in weights.items():
        left = getattr(pipeline, part).state_dict()
        assert left.keys() == state.keys() and all(torch.equal(left[name], value) for name, value in state.items())
        assert all(left[name].stride() == value.stride() for name, value in state.items())
    assert torch.equal(draw(pipeline, 0, **ASKED), before)
    assert torch.equal(pipeline.encode_null("teal"), null)


def test_eject_beside_a_lora_leaves_no_trace(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    write_lora(pipeline, tmp_path / "lora.safetensors")
    add_loras(pipeline, (Lora(file=tmp_path / "lora.safetensors"),))
    unet = pipeline.unet
    inputs = torch.randn(2, 4, 8, 8), torch.tensor(10), torch.randn(2, 24, 32)
    keys, processors = set(unet.state_dict()), dict(unet.attn_processors)
    with torch.no_grad():
        before = unet(*inputs).sample
        with Injection(unet, [pipeline.adapters["landmarks"]]) as injection:
            tokens = {"landmarks": pipeline.adapters["landmarks"].encode(tiny_condition("landmarks", 2))}
            inside = unet(*inputs, cross_attention_kwargs=injection.condition(tokens)).sample
            assert set(unet.state_dict()) == keys
        after = unet(*inputs).sample
    assert torch.equal(before, after)
    assert not torch.equal(before, inside)
    assert all(unet.attn_processors[name] is one for name, one in processors.items())


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_xl_pipeline])
def test_lcm_in_four_steps_is_diffusers_own(make: Any, tmp_path: Path) -> None:
    pipeline = make(())
    write_lora(pipeline, tmp_path / "lcm.safetensors", ("unet",))
    add_loras(pipeline, (Lora(file=tmp_path / "lcm.safetensors"),))
    with sampling_with(pipeline, "lcm"):
        assert type(pipeline.scheduler) is LCMScheduler
        found = draw(pipeline, 3, prompt="red hair", guidance={"text": 1.0}, num_inference_steps=4)
        own = stock(pipeline)
        settings: dict[str, Any] = {"num_inference_steps": 4, "guidance_scale": 1.0, "output_type": "latent"}
        theirs = own(prompt=["red hair"], generator=generators(3), **settings).images
    assert torch.equal(found, theirs)


def test_two_loras_each_at_its_weight(tmp_path: Path) -> None:
    pipeline, merged = tiny_pipeline(()), tiny_pipeline(())
    added = write_lora(pipeline, tmp_path / "a.safetensors", ("unet",))
    write_lora(pipeline, tmp_path / "b.safetensors", ("unet",))
    loras = [Lora(file=tmp_path / f"{name}.safetensors", weight=w) for name, w in (("a", 0.75), ("b", -0.5))]
    add_loras(pipeline, tuple(loras))
    merge(merged, added, 0.25)
    asked = {"prompt": "red hair"}
    torch.testing.assert_close(draw(pipeline, 0, **asked), draw(merged, 0, **asked), atol=1e-4, rtol=1e-3)
    assert pipeline.parts == {f"lora:{number}": lora.file for number, lora in enumerate(loras, 1)}


def test_lora_files_that_are_not_there_or_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="There is no LoRA file"):
        add_loras(tiny_pipeline(()), (Lora(file=tmp_path / "no.safetensors"),))
    (tmp_path / "pickle.bin").touch()
    with pytest.raises(ConfigError, match=r"pickle\.bin is no LoRA file: give a \.safetensors file"):
        add_loras(tiny_pipeline(()), (Lora(file=tmp_path / "pickle.bin"),))
    write_lora(tiny_pipeline(()), tmp_path / "small.safetensors", ("unet",))
    with pytest.raises(ConfigError, match="is no LoRA for this base"):
        add_loras(tiny_xl_pipeline(()), (Lora(file=tmp_path / "small.safetensors"),))
    shutil.copy(tmp_path / "small.safetensors", tmp_path / "BIG.SAFETENSORS")
    with pytest.raises(BadInput, match=r"Rename .*BIG\.SAFETENSORS so that it ends in \.safetensors"):
        add_loras(tiny_pipeline(()), (Lora(file=tmp_path / "BIG.SAFETENSORS"),))
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="is no LoRA for this base"):
        add_loras(tiny_pipeline(()), (Lora(file=tmp_path / "other.safetensors"),))


def test_a_lora_of_the_unet_alone_is_loaded_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("diffusers.loaders.lora_base")
    log.addHandler(caplog.handler)  # whether diffusers' messages go further up is a matter of what ran before
    try:
        with caplog.at_level(logging.WARNING, log.name):
            write_lora(tiny_pipeline(), tmp_path / "unet.safetensors", ("unet",))
            add_loras(tiny_pipeline(), (Lora(file=tmp_path / "unet.safetensors"),))
            assert "No LoRA keys" not in caplog.text
            log.warning("No LoRA keys associated to another's text encoder")
    finally:
        log.removeHandler(caplog.handler)
    assert "another's" in caplog.text


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_pipeline(("emotion",)).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def test_adapters_stand_beside_the_bases_own_or_in_their_place(base: Path, tmp_path: Path) -> None:
    own = tiny_pipeline(("emotion",))
    other = tiny_branch(own.unet, "emotion", seed=9)
    landmarks = tiny_branch(own.unet, "landmarks")
    save_adapter(tmp_path / "feeling.safetensors", {"emotion": other})
    save_adapter(tmp_path / "points.safetensors", {"points": landmarks})
    files = tuple(str(tmp_path / f"{name}.safetensors") for name in ("feeling", "points"))
    pipeline: Any = load(str(base), Loading(adapters=files, device="cpu", precision="fp32"))
    assert sorted(pipeline.adapters) == ["emotion", "landmarks"]
    pipeline.set_progress_bar_config(disable=True)
    own.adapters = {"emotion": other, "landmarks": landmarks}
    asked = {kind: tiny_condition(kind, 1) for kind in ("emotion", "landmarks")}
    torch.testing.assert_close(draw(pipeline, 0, **asked), draw(own, 0, **asked), **PASS)
    assert pipeline.parts == {"adapter:1": Path(files[0]), "adapter:2": Path(files[1])}  # a name may be a person's


def test_precision_and_tiles(base: Path) -> None:
    pipeline: Any = load(str(base), Loading(device="cpu", precision="bf16", tiling=True))
    assert {pipeline.unet.dtype, pipeline.vae.dtype, pipeline.adapters["emotion"].dtype} == {torch.bfloat16}
    assert pipeline.vae.use_tiling and pipeline.vae.use_slicing
    pipeline.set_progress_bar_config(disable=True)
    assert torch.isfinite(draw(pipeline, 0, 1, emotion=tiny_condition("emotion", 2), output_type="pt")).all()
    assert load(str(base), Loading(device="cpu")).unet.dtype == torch.float32
    with pytest.raises(BadInput, match="works in one piece"):
        load("studio", Loading(tiling=True))


def test_offloading_draws_the_same_and_leaves_nothing_behind(base: Path) -> None:
    """On this machine the 'GPU' is the CPU: the hooks and their order are tested, not the memory."""
    pipeline, plain = tiny_pipeline(), tiny_pipeline()
    pipeline.enable_model_cpu_offload(device="cpu")
    asked: dict[str, Any] = {**ASKED, "image": torch.zeros(1, 3, 16, 16), "output_type": "pt"}
    assert torch.equal(draw(pipeline, 0, **asked), draw(plain, 0, **asked))
    xl, plain = tiny_xl_pipeline(), tiny_xl_pipeline()
    xl.enable_model_cpu_offload(device="cpu")
    assert torch.equal(draw(xl, 0, **asked), draw(plain, 0, **asked))
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        with pytest.raises(BadInput, match="there is none here"):
            load(str(base), Loading(offload=True))


def test_the_studios_autoencoder_is_brought_to_the_device_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.hooks import CpuOffload

    brought: list[str] = []
    before = CpuOffload.pre_forward

    def spy(self: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        brought.append(type(module).__name__)
        return before(self, module, *args, **kwargs)

    monkeypatch.setattr(CpuOffload, "pre_forward", spy)
    vae = StudioAutoencoder(latent_channels=4, block_out_channels=(8, 8, 8)).eval()
    pipeline = tiny_pipeline((), vae=vae)
    pipeline.enable_model_cpu_offload(device="cpu")
    draw(pipeline, 0, prompt="red hair", num_inference_steps=1, output_type="pt")
    assert brought.count("StudioAutoencoder") == 1, "to decode"
    pictures = torch.zeros(1, 3, 64, 64)
    draw(pipeline, 0, prompt="red hair", num_inference_steps=1, image=pictures)
    assert brought.count("StudioAutoencoder") == 2, "to encode"


@pytest.mark.parametrize("cuda", [True, False])
@pytest.mark.parametrize("mps", [True, False])
def test_devices(cuda: bool, mps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto", True) == ("cuda" if cuda else "mps" if mps else "cpu")
    assert choose_device("auto", False) == ("cuda" if cuda else "cpu")
    assert choose_device("cpu", True) == "cpu"
    for name, there in {"cuda": cuda, "mps": mps}.items():
        if there:
            assert choose_device(name, False) == name
        else:
            with pytest.raises(BadInput, match=f"no {name} device"):
                choose_device(name, True)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [tiny_pipeline, tiny_xl_pipeline])
def test_offloaded_on_a_gpu(make: Any) -> None:
    pipeline, plain = make(), make().to("cuda")
    pipeline.enable_model_cpu_offload()
    asked: dict[str, Any] = {**ASKED, "image": torch.zeros(1, 3, 16, 16), "output_type": "pt"}
    torch.testing.assert_close(draw(pipeline, 0, **asked), draw(plain, 0, **asked), atol=1e-3, rtol=1e-3)
    assert {branch.device.type for branch in pipeline.adapters.values()} == {"cpu"}


def some_lora(path: Path, change: Any) -> Path:
    """A LoRA of the tiny base in kohya's layout, with its weights changed by a function."""
    write_lora(tiny_pipeline(()), path, ("unet",))
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    return path


def test_what_of_a_lora_fits_is_counted(tmp_path: Path) -> None:
    """What is for the other base's layers was left out without a word, and a file of nothing else was a traceback."""
    layers: dict[str, int] = {}

    def rename(weights: dict[str, Tensor], every: int) -> None:
        names = sorted({key.partition(".")[0] for key in weights})
        others = [name for name in names if every == 1 or "attentions_0" in name][::every]
        layers.update(all=len(names), kept=len(names) - len(others))
        for key in [key for key in weights if key.partition(".")[0] in others]:
            weights[key.replace("attentions_", "attentions_7")] = weights.pop(key)

    whole, part = tiny_pipeline(()), tiny_pipeline(())
    with pytest.warns(UserWarning, match=r"layers of .*part\.safetensors fit this base") as told:
        file = some_lora(tmp_path / "part.safetensors", lambda weights: rename(weights, 3))
        add_loras(part, (Lora(file=file),))
    assert f"{layers['kept']} of the {layers['all']} layers" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        add_loras(whole, (Lora(file=some_lora(tmp_path / "whole.safetensors", lambda _: None)),))
    none = some_lora(tmp_path / "none.safetensors", lambda weights: rename(weights, 1))
    with pytest.raises(ConfigError, match="is no LoRA for this base"):
        add_loras(tiny_pipeline(()), (Lora(file=none),))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_lora_of_no_numbers_is_refused(value: float, tmp_path: Path) -> None:
    file = some_lora(tmp_path / "nan.safetensors", lambda weights: next(iter(weights.values())).fill_(value))
    with pytest.raises(ConfigError, match=r"nan\.safetensors holds values that are not finite, in lora_unet"):
        add_loras(tiny_pipeline(()), (Lora(file=file),))


def test_a_picture_of_no_numbers_is_refused_with_the_part_to_blame() -> None:
    """It was an all-black PNG with a mark, and exit code 0."""
    asked: dict[str, Any] = {"prompt": "red hair", "num_inference_steps": 2}
    for part, weight in (("unet", "conv_in.weight"), ("vae", "decoder.conv_in.weight")):
        pipeline = tiny_pipeline(())
        getattr(pipeline, part).get_parameter(weight).data.view(-1)[0] = float("nan")
        with pytest.raises(ConfigError, match=f"The {part} of this base holds values that are not finite"):
            draw(pipeline, 0, **asked, output_type="pt")
    pipeline = tiny_pipeline(())
    pipeline.unet.conv_out.bias.data[0] = 3e38
    with pytest.raises(MienError, match="came out as no numbers"):
        draw(pipeline, 0, **asked, guidance={"text": 10.0})
    half = tiny_pipeline(()).to(dtype=torch.float16)
    half.unet.conv_out.bias.data.fill_(6e4)
    half.unet.conv_out.weight.data.fill_(6e4)
    with pytest.raises(MienError, match="overflowed in float16: draw with --precision bf16"):
        draw(half, 0, **asked)


def test_what_a_record_says_of_the_loading_is_checked_like_anything_else(tmp_path: Path) -> None:
    """It was copied in unchecked."""
    lora = Lora(file=tmp_path / "a.safetensors", weight=0.5)
    kept = Loading(loras=(lora,), precision="bf16").settings()
    assert Loading(loras=(Lora(file=lora.file),)).repeated(kept) == Loading(loras=(lora,), precision="bf16")
    wrong: list[Any] = [{"precision": "fp8"}, {"adapters": ["x"]}, [], {"lora_weights": 7}, {"tiling": "perhaps"}]
    for recorded in wrong:
        with pytest.raises(BadInput):
            Loading().repeated(recorded)
    for weight in ("heavy", 1e9, None):
        with pytest.raises(BadInput):
            Loading(loras=(lora,)).repeated({"lora_weights": [weight]})


def test_loading_leaves_the_progress_bars_of_other_libraries_as_they_were() -> None:
    import diffusers.utils.logging
    import huggingface_hub.utils as hub
    import transformers.utils.logging

    libraries = (diffusers.utils.logging, transformers.utils.logging)

    def states() -> list[bool]:
        return [*(one.is_progress_bar_enabled() for one in libraries), not hub.are_progress_bars_disabled()]

    before = states()
    try:
        for wanted in (True, False):
            for one in libraries:
                (one.enable_progress_bar if wanted else one.disable_progress_bar)()
            with pytest.raises(KeyError), without_bars():
                assert not any(states())
                raise KeyError
            assert all(states()) if wanted else not any(states())
    finally:
        for one, shown in zip(libraries, before, strict=False):
            (one.enable_progress_bar if shown else one.disable_progress_bar)()
        (hub.enable_progress_bars if before[2] else hub.disable_progress_bars)()
