"""Networks of other groups, on small files in exactly the published layout; the real weights cannot be had here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.conditions import EMOTIONS
from mien.errors import BadInput, MissingAsset
from mien.evaluation.networks import FACE_NETWORKS, load_networks
from mien.evaluation.networks.inception import Inception, clean_resize
from mien.evaluation.networks.lpips import Lpips, lpips_distance, published_heads, unit_channels
from mien.faces.linear.face import LinearFace
from mien.faces.published.facenet import FaceNet, load_facenet
from mien.faces.published.networks import AFFECTNET, LAYOUTS, FaceNetwork, emonet, emotiefflib, open_face_network
from mien.metrics.diversity import perceptual
from tests.published_networks import OUTPUTS, Means, onnx_file

POINTS = LinearFace.load().landmarks(size=128)[None]


def gradient(size: int = 128) -> Image.Image:
    ramp = np.linspace(0, 255, size).astype(np.uint8)
    across = np.tile(ramp, (size, 1))
    return Image.fromarray(np.stack([across, across.T, np.full((size, size), 9, np.uint8)], -1))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("batch", [1, "N"])
def test_a_face_is_read_from_a_file_of_the_published_layout(tmp_path: Path, name: str, batch: int | str) -> None:
    layout = LAYOUTS[name]
    network = open_face_network(name, onnx_file(tmp_path / "x.onnx", layout.size, OUTPUTS[name], batch))
    points = np.concatenate([POINTS, POINTS * np.nan, POINTS + 3])
    told = network([gradient(), gradient(), np.asarray(gradient())], points)
    assert tuple(told) == layout.parts
    for values in told.values():
        assert np.isfinite(values[[0, 2]]).all() and np.isnan(values[1]).all()
        assert not np.array_equal(values[0], values[2])
    alone = network([gradient()], POINTS)
    assert all(np.allclose(alone[part], values[:1], atol=1e-6) for part, values in told.items())
    if "identity" in told:
        assert np.linalg.norm(told["identity"][0]) == pytest.approx(1, abs=1e-5)
    if "emotion" in told:
        assert told["emotion"][0, 2:].sum() == pytest.approx(1, abs=1e-5)


def test_nobody_is_nan_and_the_network_is_not_asked() -> None:
    def never(batch: Any) -> Any:
        raise AssertionError

    told = FaceNetwork("arcface", LAYOUTS["arcface"], never)([gradient()], POINTS * np.nan)
    assert np.isnan(told["identity"]).all()


def test_values_reach_arcface_as_insightface_scales_them() -> None:
    """(v - 127.5) / 127.5, RGB, 112 px."""
    seen: list[Any] = []
    image = Image.new("RGB", (128, 128), (255, 0, 51))
    run = lambda batch: seen.append(batch) or {"683": np.ones((len(batch), 512), np.float32)}  # noqa: E731
    FaceNetwork("arcface", LAYOUTS["arcface"], run)([image], POINTS)
    assert seen[0].shape == (1, 3, 112, 112)
    assert seen[0][0, :, 50, 50] == pytest.approx([1, -1, (51 - 127.5) / 127.5], abs=1e-5)


def test_emotions_come_out_in_emonets_order() -> None:
    logits = np.full((1, 8), -30.0)
    logits[0, AFFECTNET.index("surprise")] = 5.0
    told = emotiefflib({"output": np.concatenate([logits, [[0.3, -0.2]]], 1).astype(np.float32)})["emotion"][0]
    assert told[:2] == pytest.approx([0.3, -0.2]) and told[2:].argmax() == EMOTIONS.index("surprise")
    outputs: Any = {"expression": logits[:, ::-1], "valence": np.zeros((1, 1)), "arousal": np.ones(1)}
    one = emonet(outputs)["emotion"][0]
    assert one[2:].argmax() == 0 and one[1] == 1  # the mirrored place of surprise among eight


def test_a_file_that_tells_something_else_is_one_sentence(tmp_path: Path) -> None:
    network = open_face_network("arcface", onnx_file(tmp_path / "x.onnx", 112, {"683": 128}))
    with pytest.raises(BadInput, match="get arcface again"):
        network([gradient()], POINTS)
    network = open_face_network("emonet", onnx_file(tmp_path / "y.onnx", 256, {"other": 8}))
    with pytest.raises(BadInput, match="gives other"):
        network([gradient()], POINTS)
    (tmp_path / "z.onnx").write_bytes(b"no model")
    with pytest.raises(BadInput, match="cannot be read as an ONNX file"):
        open_face_network("arcface", tmp_path / "z.onnx")


def test_facenet_takes_the_published_names_and_leaves_the_classifier(tmp_path: Path) -> None:
    weights = FaceNet().state_dict()
    # some of facenet-pytorch's names, written down from its source
    for name, shape in {
        "conv2d_1a.conv.weight": (32, 3, 3, 3), "conv2d_4b.bn.running_var": (256,),
        "repeat_1.4.branch2.2.conv.weight": (32, 32, 3, 3), "repeat_1.0.conv2d.bias": (256,),
        "mixed_6a.branch0.conv.weight": (384, 256, 3, 3), "repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
        "mixed_7a.branch2.1.bn.weight": (256,), "repeat_3.4.branch1.2.conv.weight": (192, 192, 3, 1),
        "block8.conv2d.weight": (1792, 384, 1, 1), "last_linear.weight": (512, 1792), "last_bn.running_mean": (512,),
    }.items():  # fmt: skip
        assert tuple(weights[name].shape) == shape, name
    assert sum(value.numel() for name, value in FaceNet().named_parameters()) == 23_482_624
    torch.save(weights | {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}, tmp_path / "f.pt")
    network = load_facenet(tmp_path / "f.pt")
    with torch.no_grad():
        out = network(torch.randn(2, 3, 160, 160))
    assert out.shape == (2, 512) and torch.allclose(out.norm(dim=1), torch.ones(2), atol=1e-5)
    del weights["last_linear.weight"]
    torch.save(weights, tmp_path / "g.pt")
    with pytest.raises(BadInput, match="get facenet again"):
        load_facenet(tmp_path / "g.pt")


def test_a_file_with_more_than_tensors_is_not_unpickled(tmp_path: Path) -> None:
    torch.save({"weights": Path}, tmp_path / "evil.pt")
    with pytest.raises(BadInput, match="read safely"):
        load_facenet(tmp_path / "evil.pt")


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_with_torchvisions_names(tmp_path: Path, net: Any) -> None:
    torch.manual_seed(0)
    plain = Lpips(net, published_heads(net))
    weights = {name: value for name, value in plain.state_dict().items() if name.startswith("features.")}
    last = {"alex": ("features.10.weight", (256, 256, 3, 3)), "vgg": ("features.28.weight", (512, 512, 3, 3))}[net]
    assert tuple(weights[last[0]].shape) == last[1]
    torch.save(weights | {"classifier.1.weight": torch.zeros(2, 2)}, tmp_path / "w.pth")
    lpips = Lpips.from_file(net, tmp_path / "w.pth")
    a, b = torch.rand(2, 3, 96, 80) * 2 - 1, torch.rand(2, 3, 96, 80) * 2 - 1
    with torch.no_grad():
        assert torch.equal(lpips(a, a), torch.zeros(2)) and (lpips(a, b) > 0).all()
        assert torch.allclose(lpips(a, b), lpips(b, a))
        assert torch.allclose(lpips(a, b), plain.eval()(a, b))
    apart = perceptual(torch.stack([a, b]), lpips)  # as in Tables 2 and 3: nobody says that no gradient is wanted
    assert apart.shape == (2,) and (apart > 0).all()
    del weights["features.0.weight"]
    torch.save(weights, tmp_path / "v.pth")
    with pytest.raises(BadInput, match=f"backbone {net}"):
        Lpips.from_file(net, tmp_path / "v.pth")


def test_lpips_agrees_with_torchmetrics_given_features() -> None:
    """Its own network cannot be built without torchvision; every step after the features is run as it is there."""
    from torchmetrics.functional.image.lpips import NetLinLayer, ScalingLayer, _normalize_tensor, _spatial_average

    torch.manual_seed(0)
    first, second = ([torch.randn(3, c, s, s) for c, s in ((64, 9), (192, 5), (384, 3))] for _ in range(2))
    heads = published_heads("alex")[:3]
    expected = torch.zeros(3)
    for a, b, head in zip(first, second, heads, strict=True):
        layer = NetLinLayer(len(head))
        torch.nn.Module.load_state_dict(layer, {"model.0.weight": head.view(1, -1, 1, 1)})
        apart = (_normalize_tensor(a) - _normalize_tensor(b)) ** 2
        expected += _spatial_average(layer(apart), keep_dim=True).detach().flatten()
    ours = lpips_distance([unit_channels(x) for x in first], [unit_channels(x) for x in second], heads)
    assert torch.allclose(ours, expected, rtol=1e-5)
    lpips, pictures = Lpips("alex", published_heads("alex")), torch.rand(1, 3, 64, 64)
    assert torch.allclose((pictures - lpips.shift) / lpips.scale, ScalingLayer()(pictures))


def test_inception_reads_a_torchscript_file(tmp_path: Path) -> None:
    torch.jit.script(Means()).save(str(tmp_path / "i.pt"))
    pictures = [Image.new("RGB", (40, 60), (10, 20, 250)), Image.new("RGB", (80, 60), (1, 2, 3))]
    features = Inception(tmp_path / "i.pt")(pictures)
    assert features.shape == (2, 2048) and features[0, :3] == pytest.approx([10, 20, 250])
    assert features[1, :3] == pytest.approx([1, 2, 3])
    (tmp_path / "j.pt").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="no TorchScript"):
        Inception(tmp_path / "j.pt")


def test_clean_resizing_is_antialiased_and_stays_in_range() -> None:
    stripes = np.zeros((897, 897, 3), np.uint8)
    stripes[:, ::2] = 255
    out = clean_resize(stripes)
    assert out.shape == (299, 299, 3) and out.dtype == np.float32
    assert abs(out[5:-5, 5:-5] - 127.5).max() < 60  # without a filter they would be 0 and 255
    assert clean_resize(np.full((20, 20, 3), 255, np.uint8)).max() == 255


def test_what_is_missing_is_said_with_the_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "own"))
    with pytest.raises(MissingAsset, match="mien assets get arcface "):
        load_networks(["arcface"])
    with pytest.raises(MissingAsset, match=r"docs/assets.md.* emonet_8.onnx into .*own"):
        load_networks(["emonet"])
    (tmp_path / "own").mkdir()
    onnx_file(tmp_path / "own" / "emonet_8.onnx", 256, OUTPUTS["emonet"])
    networks = load_networks(["emonet", "emonet"])
    assert networks.parts() == {"emotion.emonet": (10,)} and len(networks.files["networks/emonet"]) == 64
    assert networks.read([gradient()], POINTS)["emotion.emonet"].shape == (1, 10)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match=r"no network 'arkface'; choose of: .*arcface"):
        load_networks(["arkface"])
    assert set(FACE_NETWORKS) == set(LAYOUTS)
    assert load_networks([]).faces == {}
