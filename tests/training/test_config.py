from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.pipelines.runs import runs_folder
from mien.training.bases import base_sources
from mien.training.config import TrainConfig
from mien.training.presets import PRESETS, preset
from mien.training.run import resolve
from mien.training.sources import Sources

BASE = ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "identity")
BRANCHES = ("adapters/landmarks.safetensors", "adapters/emotion.safetensors")


def test_an_unknown_preset_is_named_with_its_alternatives() -> None:
    with pytest.raises(ConfigError, match="studio-base"):
        preset("studio-bass")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        resolve("studio-base", {"learning_rate": 1.0})
    assert resolve("studio-base", {"lr": 0.1}).lr == 0.1


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, 1.5])
def test_a_seed_that_would_not_act_as_a_whole_is_refused(seed: float) -> None:
    with pytest.raises(ConfigError, match="seed"):
        resolve("studio-base", {"seed": seed})
    assert resolve("studio-base", {"seed": 2**32 - 1}).seed == 2**32 - 1


def test_every_preset_needs_only_earlier_ones() -> None:
    seen: set[str] = set()
    for name, config in PRESETS.items():
        assert set(config.depends_on) <= seen, name
        seen.add(name)


def written(config: TrainConfig) -> set[str]:
    """What a run of a preset exports that another run may export too."""
    kind = config.objective.partition(":")[0]
    if kind in ("branch", "alignment"):
        name = config.options.get("file") or config.options.get("kind", "expression")
        companions = config.options.get("companions", {"identity": ""} if kind == "alignment" else {})
        return {f"adapters/{file}.safetensors" for file in (name, *(f"{name}_{other}" for other in companions))}
    own = {"base": {"unet", "text_encoder", "tokenizer", "scheduler", *BRANCHES}, "text": {"text_encoder", "tokenizer"},
           "joint": {"text_encoder", *BRANCHES}, "finetune": {"unet", "scheduler"}}  # fmt: skip
    return own.get(kind, set())


def exported(runs: Path, name: str, *parts: str) -> Path:
    for part in parts:
        (runs / name / "export" / part).mkdir(parents=True)
    return runs / name / "export"


def sources(name: str, runs: Path, base: str = "studio") -> Sources:
    return base_sources(base, tuple(runs / needed / "export" for needed in preset(name).depends_on))


def test_the_run_that_came_last_is_the_one_that_is_gone_on_from() -> None:
    order = list(PRESETS)
    for name, config in PRESETS.items():
        for part in set().union(*(written(PRESETS[needed]) for needed in config.depends_on)):
            having = [needed for needed in config.depends_on if part in written(PRESETS[needed])]
            assert having[0] == max(having, key=order.index), f"{name} takes {part} from {having[0]}"


def test_the_branches_that_ship_are_distilled(tmp_path: Path) -> None:
    exported(tmp_path, "studio-base", "unet", *BRANCHES)
    for kind, branch in zip(("landmarks", "emotion"), BRANCHES, strict=True):
        export = exported(tmp_path, f"studio-{kind}", branch)
        assert sources("studio-few-step", tmp_path).path(branch) == export / branch


@pytest.mark.parametrize("base", ["studio", "folder"])
def test_what_the_joint_stage_trained_is_distilled(tmp_path: Path, base: str) -> None:
    """And the rest is the base's: its own, or the studio's."""
    exported(tmp_path, "studio-base", "unet", "text_encoder", *BRANCHES)
    joint = exported(tmp_path, "facecrafter-joint", "text_encoder", *BRANCHES)
    rest = tmp_path / "studio-base" / "export"
    if base == "folder":
        rest = tmp_path / "folder"
        for part in BASE:
            (rest / part).mkdir(parents=True)
        (rest / "unet" / "config.json").write_text('{"cross_attention_dim": 768}')
        base = str(rest)
    found = sources("facecrafter-few-step", tmp_path, base)
    for part in ("text_encoder", *BRANCHES):
        assert found.path(part) == joint / part
    assert found.path("unet") == rest / "unet"
    # the stage itself begins with the base's text encoder
    assert sources("facecrafter-joint", tmp_path, base).path("text_encoder") == rest / "text_encoder"


def test_each_base_has_runs_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "cache" / "runs"
    assert runs_folder() == runs
    assert [runs_folder(base) for base in ("sd15", "sdxl", "arc2face")] == [
        runs / "on" / "sd15", runs / "on" / "sdxl", runs / "on" / "arc2face",
    ]  # fmt: skip
    one, two = runs_folder("/a/model"), runs_folder("/b/model")
    assert one != two and one.parent == two.parent == runs / "on" and one.name.startswith("model-")
    assert runs_folder("model") == runs_folder(str(tmp_path / "model"))
    assert runs_folder("/a/sd15") != runs_folder("sd15")
