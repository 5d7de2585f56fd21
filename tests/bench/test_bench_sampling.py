"""``mien bench sampling``: the sides draw what they say, and the report holds what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.bench import sampling as bench
from mien.bench.memory import peak_in_a_process
from mien.bench.peers import StockPipeline, with_ip_adapters
from mien.bench.portrait import PARTS, Stopwatch
from mien.bench.rig import conditions_for, filled, rig, twin
from mien.bench.sampling import SIDES, Sampling, bench_curves, bench_sampling, naive
from mien.bench.summary import lines
from mien.bench.work import against, work
from mien.errors import BadInput, MienError
from tests.tiny import TEXT_DIM, tiny_autoencoder, tiny_pipeline, tiny_unet


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tiny base in the place of whatever is asked for."""
    vae = tiny_autoencoder()
    pipeline = tiny_pipeline(("landmarks", "emotion"), vae=vae)
    monkeypatch.setattr(bench, "rig", lambda *_: pipeline)
    monkeypatch.setattr(bench.machine, "limits", lambda *_: {"gflops": 50.0, "gigabytes": 10.0})
    return pipeline


def test_a_report(tiny: Any) -> None:
    report = json.loads(json.dumps(bench_sampling(Sampling(steps=5, rounds=2))))
    assert list(report["sides"]) == [side for side in SIDES if side != "few"], "this base has not been distilled"
    for side in report["sides"].values():
        assert 0 < side["seconds"]["minimum"] <= side["seconds"]["median"] <= side["seconds"]["maximum"]
        assert side["work"]["gflop"] > 0 and side["work"]["share_of_limit"] > 0
    work_of = {name: side["work"]["gflop"] for name, side in report["sides"].items()}
    assert work_of["fast"] < work_of["exact"] < work_of["naive"]
    assert max(work_of[part] for part in ("differences", "features", "interval")) < work_of["exact"]
    named = {(one["of"], one["to"]): one["ratio"] for one in report["pairs"]}
    assert {("naive", "exact"), ("naive", "fast"), ("controlnet", "fast"), ("ip-adapters", "fast")} <= named.keys()
    assert all(one["minimum"] <= one["median"] <= one["maximum"] and one["rounds"] == 2 for one in named.values())
    assert report["differences"]["exact:naive"] < 1e-4 < report["differences"]["fast:naive"]
    assert {"processor", "cores", "threads", "torch", "dtype"} <= report["machine"].keys()
    told = "\n".join(lines(report))
    assert "naive / fast" in told and "of" in told.splitlines()[-1]


def test_sides_can_be_chosen(tiny: Any) -> None:
    report = bench_sampling(Sampling(steps=2, rounds=1, sides=("exact", "controlnet")))
    assert [(one["of"], one["to"]) for one in report["pairs"]] == [("controlnet", "exact")]
    assert bench_sampling(Sampling(steps=2, rounds=1, sides=("controlnet",)))["differences"] == {}


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(BadInput, match="sides"):
        Sampling.checked(sides=("slow",))
    with pytest.raises(BadInput, match="rounds"):
        Sampling.checked(rounds=0)
    with pytest.raises(BadInput, match="no size 'sd21'"):
        rig("studio", "sd21", torch.float32, "cpu")


def test_peers_run_eager_only(tiny: Any) -> None:
    with pytest.raises(BadInput, match="leave --side controlnet or --compile out"):
        bench.sides(Sampling(compiled=True))


def test_peers_make_two_evaluations_and_leave_the_unet_alone(tiny: Any) -> None:
    before = {name: value.clone() for name, value in tiny.unet.state_dict().items()}
    for kind, adapters in (("controlnet", 1), ("ip-adapters", 2)):
        peer = StockPipeline(kind, tiny)  # type: ignore[arg-type]
        rows: list[int] = []
        peer.pipeline.unet.register_forward_pre_hook(lambda _m, inputs, rows=rows: rows.append(len(inputs[0])))
        generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
        latents = peer(**conditions_for(tiny, 2, ("identity", "landmarks")), steps=3, pixels=16, generator=generators)
        assert latents.shape == (2, 4, 8, 8) and torch.isfinite(latents).all()
        assert rows == [4] * 3
        assert len(peer.pipeline.unet.encoder_hid_proj.image_projection_layers) == adapters
    assert all(torch.equal(value, before[name]) for name, value in tiny.unet.state_dict().items())
    assert tiny.unet.encoder_hid_proj is None and tiny.unet.config.encoder_hid_dim_type is None


def test_peers_draw_on_the_bundled_base() -> None:
    pipeline = rig("studio", None, torch.float32, "cpu")
    given = conditions_for(pipeline, 1, ("identity", "landmarks"))
    for kind in ("controlnet", "ip-adapters"):
        peer = StockPipeline(kind, pipeline)  # type: ignore[arg-type]
        latents = peer(**given, steps=1, pixels=256, generator=[torch.Generator().manual_seed(0)])
        assert latents.shape[-1] * pipeline.vae_scale_factor == 256 and torch.isfinite(latents).all()


def test_a_twin_shares_its_weights() -> None:
    unet = tiny_unet()
    other = twin(unet)
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, TEXT_DIM)
    with torch.no_grad():
        assert torch.equal(other(x, 5, text).sample, unet(x, 5, text).sample)
    assert other.conv_in.weight.data_ptr() == unet.conv_in.weight.data_ptr()
    adapted = with_ip_adapters(unet, 1)
    assert adapted.conv_in.weight.data_ptr() == unet.conv_in.weight.data_ptr()


def test_random_weights_from_the_meta_device_are_finite_and_repeat() -> None:
    unets = []
    for _ in range(2):
        with torch.device("meta"):
            unet = tiny_unet()
        unets.append(filled(unet, torch.float32))
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 5, TEXT_DIM)
    with torch.no_grad():
        first, second = (unet(x, 500, text).sample for unet in unets)
    assert torch.isfinite(first).all() and torch.equal(first, second)


def test_the_naive_sampler_refuses_what_it_cannot_do(tiny: Any) -> None:
    plain = naive(tiny)
    with pytest.raises(BadInput, match="naive sampler"):
        plain(prompt="red hair", image=torch.zeros(1, 3, 16, 16), num_inference_steps=2)


def test_work_of_a_product_is_known() -> None:
    a, b = torch.randn(30, 40), torch.randn(40, 50)
    product, done = work(lambda: a @ b)
    assert torch.equal(product, a @ b)
    assert done == {"gflop": round(2 * 30 * 40 * 50 / 1e9, 3), "gigabytes": round(4 * 4700 / 1e9, 4)}
    limits = {"gflops": 100.0, "gigabytes": 10.0}
    found = against(limits, {"gflop": 50.0, "gigabytes": 1.0}, seconds=2.0)
    assert (found["seconds_at_limit"], found["share_of_limit"]) == (0.5, 0.25)
    assert against(limits, {"gflop": 1.0, "gigabytes": 20.0}, 4.0)["seconds_at_limit"] == 2.0


def test_work_of_fused_attention_is_that_of_its_two_products() -> None:
    q = torch.randn(1, 8, 1024, 40)
    with torch.no_grad():
        done = work(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))[1]
        plain = work(lambda: (q @ q.mT).softmax(-1) @ q)[1]
    assert done["gflop"] == plain["gflop"] == 1.342
    assert 4 * q.numel() * 4 / 1e9 <= done["gigabytes"] + 5e-5 < plain["gigabytes"], "it spares the weights"


def test_curves(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CURVES", {"batch": (1, 2), "steps": (2,), "branches": (0, 2, 3)})
    found = bench_curves(Sampling(steps=2, rounds=1, sides=("exact", "fast", "controlnet")))
    assert [one["value"] for one in found["batch"]] == [1, 2]
    assert [one["value"] for one in found["branches"]] == [0, 2]  # this base has no third branch
    assert all(set(one["seconds"]) == {"exact", "fast"} for axis in found.values() for one in axis)


def test_a_stopwatch_leaves_no_trace(tiny: Any) -> None:
    watch = Stopwatch(tiny)
    tiny(prompt="red hair", num_inference_steps=2)
    watch.remove()
    assert all(watch.seconds[part] > 0 for part in PARTS)
    assert "forward" not in tiny.unet.__dict__ and "decode" not in tiny.vae.__dict__


def test_memory_is_measured_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0 if "exact" in command else 1, 'x\n{"megabytes": 3}\n', "E: no\n")

    monkeypatch.setattr(subprocess, "run", run)
    settings = Sampling(steps=2).model_dump(mode="json")
    assert peak_in_a_process(settings, "exact") == {"megabytes": 3}
    assert seen[0][:3] == [sys.executable, "-m", "mien.bench.one_side"]
    assert Sampling.model_validate_json(seen[0][3]).steps == 2
    with pytest.raises(MienError, match=r"memory of naive failed \(E: no\)"):
        peak_in_a_process(settings, "naive")


@pytest.mark.slow
def test_the_studio_by_command(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    command = ["bench", "sampling", "--steps", "3", "--rounds", "1", "--side", "naive", "--side", "fast", "--memory"]
    done = subprocess.run(
        [sys.executable, "-m", "mien", *command, "--json", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["memory"]["fast"]["megabytes"] > report["memory"]["fast"]["before"] > 100
    assert "naive / fast" in done.stdout
