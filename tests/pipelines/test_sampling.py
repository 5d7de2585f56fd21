"""What the UNet calls of a sampling share, exactly and approximately."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from torch import Tensor, nn

from mien.bench.naive import NaivePipeline
from mien.diffusion import Guidance
from mien.diffusion.caching import Caching, DifferenceCaching, FeatureReuse, GuidanceInterval
from mien.errors import ConfigError
from mien.models.controlnet import build_controlnet
from mien.pipelines.sampling import Rows
from tests.tiny import tiny_condition, tiny_pipeline, tiny_scheduler, tiny_unet, tiny_xl_pipeline
from tests.tolerance import PASS, SAMPLED

NAMES = ("identity", "landmarks", "expression", "emotion")
EVERY_STEP = Caching(DifferenceCaching(0.0), features=FeatureReuse(1))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_pipeline()


def draw(pipeline: Any, *names: str, pictures: int = 2, **options: Any) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in range(pictures)]
    settings = {"num_inference_steps": 6, "output_type": "latent", "generator": generators, **options}
    return pipeline(**{name: tiny_condition(name, pictures) for name in names}, **settings).images


class RowsOf:
    """Rows of every call of some modules."""

    def __init__(self, **modules: nn.Module) -> None:
        self.rows: dict[str, list[int]] = {name: [] for name in modules}
        self.handles = [
            module.register_forward_hook(lambda _m, _i, out, name=name: self.rows[name].append(len(_first(out))))
            for name, module in modules.items()
        ]

    def __enter__(self) -> dict[str, list[int]]:
        return self.rows

    def __exit__(self, *_: Any) -> None:
        for handle in self.handles:
            handle.remove()


def _first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else next(iter(output.values() if isinstance(output, dict) else output))


@pytest.mark.parametrize("mode", ["prompt", "branch"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_exact_equals_one_call_an_evaluation(mode: str, prediction: str) -> None:
    scheduler = EulerDiscreteScheduler.from_config(tiny_scheduler(prediction).config)
    ours = tiny_pipeline(scheduler=scheduler)
    naive = NaivePipeline(**ours.components, adapters=ours.adapters)
    naive.set_progress_bar_config(disable=True)
    found, expected = (draw(one, *NAMES, prompt="red hair", identity_mode=mode) for one in (ours, naive))
    assert (found - expected).norm() / expected.norm() < 1e-4


def test_texts_and_what_comes_before_them_are_computed_once(pipeline: Any) -> None:
    unet = pipeline.unet
    block = unet.down_blocks[0].attentions[0].transformer_blocks[0]
    with RowsOf(unet=unet, to_k=block.attn2.to_k, inner=block.attn1.to_q, outer=unet.up_blocks[-1]) as rows:
        draw(pipeline, "identity", "landmarks", "emotion", num_inference_steps=3)
    assert rows["unet"] == rows["outer"] == [8] * 3
    assert rows["inner"] == [4] * 3  # with and without text, of two pictures
    assert rows["to_k"] == [4]  # for all steps


def test_a_branch_at_self_attention_is_not_shared_away() -> None:
    ours = tiny_pipeline(())
    from tests.tiny import tiny_branch

    ours.adapters = {"emotion": tiny_branch(ours.unet, "emotion", site="self")}
    naive = NaivePipeline(**ours.components, adapters=ours.adapters)
    naive.set_progress_bar_config(disable=True)
    found, expected = (draw(one, "emotion", prompt="red hair") for one in (ours, naive))
    torch.testing.assert_close(found, expected, **SAMPLED)


def test_keeping_nothing_is_exact(pipeline: Any) -> None:
    exact = draw(pipeline, *NAMES)
    torch.testing.assert_close(draw(pipeline, *NAMES, speed=EVERY_STEP), exact, **PASS)


def test_fast_makes_fewer_and_shorter_calls(pipeline: Any) -> None:
    unet = pipeline.unet
    names = ("identity", "landmarks", "emotion")
    with RowsOf(unet=unet, deep=unet.mid_block.resnets[0], shallow=unet.up_blocks[-1].resnets[-1]) as rows:
        fast = draw(pipeline, *names, speed="fast")
    assert rows["unet"] == rows["shallow"] == [8, 8, 2, 2, 8, 2]
    assert rows["deep"] == [8, 8, 8]
    exact = draw(pipeline, *names)
    assert 0 < (fast - exact).norm() < (exact - draw(pipeline, "identity")).norm()
    assert torch.equal(fast, draw(pipeline, *names, speed="fast"))
    assert torch.equal(exact, draw(pipeline, *names))  # nothing stays behind
    assert not any("forward" in module.__dict__ for module in unet.modules())


def test_outside_the_interval_one_evaluation_stands_alone(pipeline: Any) -> None:
    """With a guidance of one evaluation only, an interval changes nothing; with guidance it does."""
    never = Caching(interval=GuidanceInterval(0.0, 1e-9))
    alone = Guidance((), start=frozenset({"text", "landmarks"}))
    options: dict[str, Any] = {"prompt": "red hair", "latents": torch.randn(2, 4, 8, 8)}
    reference = draw(pipeline, "landmarks", guidance=alone, **options)
    torch.testing.assert_close(draw(pipeline, "landmarks", guidance=alone, speed=never, **options), reference, **PASS)
    with RowsOf(unet=pipeline.unet) as rows:
        found = draw(pipeline, "landmarks", speed=never, **options)
    assert rows["unet"] == [6, 2, 2, 2, 2, 2]
    assert (found - reference).norm() > 1e-3  # the first step was guided


def test_a_branch_that_ends_takes_its_difference_along(pipeline: Any) -> None:
    names, spans = ("identity", "landmarks"), {"landmarks": (0.0, 0.5)}
    caching = Caching(DifferenceCaching(9.0))
    with RowsOf(unet=pipeline.unet) as rows:
        draw(pipeline, *names, steps=spans, speed=caching)
    assert rows["unet"] == [6, 6, 2, 6, 2, 2]  # whole again where the branch is gone


def test_a_controlnet_runs_with_the_deep_blocks() -> None:
    pipeline = tiny_pipeline()
    torch.manual_seed(5)
    controlnet = build_controlnet(pipeline.unet, factor=4).eval()
    for name, parameter in controlnet.named_parameters():
        if "controlnet_" in name:
            nn.init.normal_(parameter, std=0.1)
    pipeline.register_modules(controlnet=controlnet)
    exact = draw(pipeline, "identity", "landmarks")
    torch.testing.assert_close(draw(pipeline, "identity", "landmarks", speed=EVERY_STEP), exact, **PASS)
    with RowsOf(controlnet=controlnet) as rows:
        fast = draw(pipeline, "identity", "landmarks", speed="fast")
    assert len(rows["controlnet"]) == 3
    assert 0 < (fast - exact).norm() < (exact - draw(pipeline, "identity")).norm()


@pytest.mark.parametrize("speed", ["exact", "fast"])
def test_sdxl_and_a_given_picture(speed: Any) -> None:
    xl, options = tiny_xl_pipeline(), {"image": torch.rand(2, 3, 16, 16) * 2 - 1, "strength": 0.7}
    with RowsOf(sizes=xl.unet.add_embedding) as rows:
        found = draw(xl, "landmarks", "emotion", prompt="red hair", speed=speed, **options)
    assert torch.isfinite(found).all()
    assert len(rows["sizes"]) == 4 and not any("forward" in module.__dict__ for module in xl.unet.modules())
    per_step = draw(xl, "landmarks", "emotion", prompt="red hair", speed=EVERY_STEP, **options)
    if speed == "exact":
        torch.testing.assert_close(found, per_step, **PASS)


def test_unknown_speeds_are_refused(pipeline: Any) -> None:
    with pytest.raises(ConfigError, match="choose exact, fast, few"):
        draw(pipeline, "landmarks", speed="ludicrous")


def test_rows_of_equal_text() -> None:
    guide = Guidance.around({"text": 3.0, "landmarks": 2.0}, [["text"]])
    first, place = Rows(guide, 2).distinct(torch.device("cpu")) or (None, None)
    assert first is not None and place is not None
    assert first.tolist() == [0, 1, 2, 3] and place.tolist() == [0, 1, 2, 3, 2, 3]
    plain = Guidance.around({"text": 2.0}, [["text"]])
    assert Rows(plain, 3).distinct(torch.device("cpu")) is None


def test_no_trace_after_an_error(pipeline: Any) -> None:
    def stop(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(pipeline, "landmarks", "emotion", speed="fast", callback_on_step_end=stop)
    assert not any("forward" in module.__dict__ for module in pipeline.unet.modules())


def test_a_unet_without_cross_attention_at_the_top() -> None:
    unet = tiny_unet(down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"))
    ours = tiny_pipeline(unet=unet)
    naive = NaivePipeline(**ours.components, adapters=ours.adapters)
    naive.set_progress_bar_config(disable=True)
    found, expected = (draw(one, "landmarks", "emotion", prompt="red hair") for one in (ours, naive))
    torch.testing.assert_close(found, expected, **SAMPLED)


def compiled(backend: str) -> tuple[Any, Tensor]:
    """A pipeline on one block of attention, compiled whole: a graph break is an error."""
    unet = tiny_unet(
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 8), attention_head_dim=2,
    )  # fmt: skip
    pipeline = tiny_pipeline(("landmarks", "emotion"), unet=unet)
    plain = draw(pipeline, "landmarks", "emotion", prompt="round glasses")
    unet.compile(fullgraph=True, backend=backend)
    return pipeline, plain


@pytest.mark.slow
def test_the_unet_compiles_without_a_graph_break_once_for_all_pictures() -> None:
    graphs = torch._dynamo.utils.counters["stats"]
    torch._dynamo.reset()
    pipeline, plain = compiled("eager")
    before = graphs["unique_graphs"]
    found = draw(pipeline, "landmarks", "emotion", prompt="round glasses")
    torch.testing.assert_close(found, plain, **PASS)
    other = draw(pipeline, "landmarks", "emotion", prompt="red hair", guidance={"emotion": 3.0})
    assert (other - plain).norm() > 1e-3
    assert graphs["unique_graphs"] == before + 1
    # and once for the evaluation that stands alone
    draw(pipeline, "landmarks", "emotion", prompt="red hair", speed="fast")
    assert graphs["unique_graphs"] == before + 2


@pytest.mark.slow
def test_compiled_code_gives_the_same_picture() -> None:
    torch._dynamo.reset()
    pipeline, plain = compiled("inductor")
    found = draw(pipeline, "landmarks", "emotion", prompt="round glasses")
    torch.testing.assert_close(found, plain, **SAMPLED)
