"""Made-up raw data in the layouts in which FFHQ, MEAD, CelebA and AgeDB are published, from seeds.

As a script:  python -m tests.raw_data FOLDER [--kit FILE] [--people N]  writes all of them, for rehearsals of the whole
way from raw data to tables. Faces are renders of the studio where its face kit is there, else the package's examples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

Faces = Callable[[int, int, int], Image.Image]
"""(person, number of the picture, side in pixels) -> a square portrait; the same arguments give the same pixels."""

EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
"""MEAD's folders."""
ACTORS = ("M003", "W009", "M005", "W011", "M007", "W014")


def example_faces() -> Faces:
    """The package's example pictures, each person's with changes of light."""
    from mien.assets import embedded

    files = sorted((embedded("studio").parent / "examples").glob("*.png"))

    def face(person: int, number: int, side: int) -> Image.Image:
        image = Image.open(files[person % len(files)]).convert("RGB")
        image = image.rotate(3 * (number % 3 - 1), Image.Resampling.BILINEAR, fillcolor="grey")
        image = ImageEnhance.Brightness(image).enhance(0.85 + 0.05 * (number % 6))
        return image.resize((side, side), Image.Resampling.LANCZOS)

    return face


def rendered_faces(kit: Path, side: int = 256) -> Faces:
    """Renders: any number of people, each with any number of pictures."""
    from mien.studio.kit import FaceKit
    from mien.studio.person import sample_person
    from mien.studio.plans import plan_scene
    from mien.studio.renderer import Renderer

    renderer = Renderer(FaceKit.load(kit), size=side)

    def face(person: int, number: int, side: int) -> Image.Image:
        someone = sample_person(person)
        image = Image.fromarray(renderer.render(someone, plan_scene(someone, number)).image)
        return image.resize((side, side), Image.Resampling.LANCZOS)

    return face


def write_ffhq(folder: Path, faces: Faces, people: int, side: int = 256, first: int = 0) -> Path:
    """``images1024x1024/00000/00000.png``: one picture of each person."""
    for number in range(people):
        path = folder / "images1024x1024" / f"{number // 1000 * 1000:05d}" / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        faces(first + number, number % 7, side).save(path)
    (folder / "LICENSE.txt").write_text("made up\n")
    return folder


def write_mead(
    folder: Path, faces: Faces, actors: Sequence[str] = ACTORS[:2], emotions: Sequence[str] = ("happy", "sad"),
    seconds: int = 3, first: int = 100,
) -> Path:  # fmt: skip
    """``M003/video/front/happy/level_1/001.mp4``: each second another expression; beside it the audio, not a video."""
    for row, actor in enumerate(actors):
        for column, emotion in enumerate(emotions):
            place = folder / actor / "video" / "front" / emotion / f"level_{1 + column % 3}" / "001.mp4"
            shown = [faces(first + row, 3 + 10 * column + second, 256) for second in range(seconds)]
            write_video(place, [_on_canvas(image, (384, 320), 64) for image in shown])
            audio = folder / actor / "audio" / emotion / f"level_{1 + column % 3}" / "001.m4a"
            audio.parent.mkdir(parents=True, exist_ok=True)
            audio.write_bytes(b"no audio")
    return folder


def write_celeba(folder: Path, faces: Faces, people: int, per_person: int, first: int = 200) -> Path:
    """``img_celeba/000001.jpg``, ``Anno/identity_CelebA.txt`` and ``Eval/list_eval_partition.txt``, in mixed order."""
    order = np.random.default_rng(first).permutation(people * per_person)
    pictures, identities, splits = folder / "img_celeba", [], []
    pictures.mkdir(parents=True, exist_ok=True)
    for number, place in enumerate(order.tolist(), 1):
        person, picture = divmod(place, per_person)
        name = f"{number:06d}.jpg"
        _on_canvas(faces(first + person, picture, 224), (280, 320), number % 40).save(pictures / name, quality=92)
        identities.append(f"{name} {1000 + 7 * person}")
        splits.append(f"{name} {2 if person >= people * 2 // 3 else 0}")
    for part, name, lines in (("Anno", "identity_CelebA", identities), ("Eval", "list_eval_partition", splits)):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_agedb(folder: Path, faces: Faces, people: int, per_person: int, first: int = 400) -> Path:
    """``0_PersonA_35_f.jpg``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(people * per_person):
        person, picture = divmod(number, per_person)
        name = f"{number}_Person{chr(65 + person)}_{30 + picture}_{'fm'[person % 2]}.jpg"
        faces(first + person, picture, 256).save(folder / name, quality=92)
    return folder


def write_clips(folder: Path, faces: Faces, videos: int, seconds: int = 4, first: int = 300) -> Path:
    """``clip-0.mp4``: two people side by side; in the second half of each, the first of them alone elsewhere."""
    for number in range(videos):
        one, other, shown = first + 2 * number, first + 2 * number + 1, []
        for second in range(seconds):
            canvas = Image.new("RGB", (560, 300), (90, 110, 120))
            if second < seconds / 2:
                canvas.paste(faces(one, second, 240), (20, 30))
                canvas.paste(faces(other, second, 240), (300, 30))
            else:
                canvas.paste(faces(one, second, 240), (290, 20))
            shown.append(canvas)
        write_video(folder / f"clip-{number}.mp4", shown)
    return folder


def write_video(path: Path, pictures: Sequence[Image.Image], rate: int = 5, key_frames: int = 10) -> Path:
    """A video in which each picture stands for a second."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as video:
        stream: Any = video.add_stream("libx264", rate=rate, options={"crf": "18", "g": str(key_frames)})
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv420p"
        for picture in pictures:
            for _ in range(rate):
                video.mux(stream.encode(av.VideoFrame.from_image(picture)))
        video.mux(stream.encode())
    return path


def _on_canvas(image: Image.Image, size: tuple[int, int], left: int) -> Image.Image:
    """A portrait in a larger picture, as photographs have it."""
    canvas = Image.new("RGB", size, (120, 116, 108))
    canvas.paste(image, (min(left, size[0] - image.width), (size[1] - image.height) // 2))
    return canvas


def write_all(folder: Path, faces: Faces, people: int = 8) -> Path:
    """All layouts, each in a folder of its own."""
    write_ffhq(folder / "ffhq", faces, people)
    write_mead(folder / "mead", faces)
    write_celeba(folder / "celeba", faces, people, 3)
    write_agedb(folder / "agedb", faces, max(2, people // 2), 3)
    write_clips(folder / "clips", faces, 2)
    return folder


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--kit", type=Path)
    options.add_argument("--people", type=int, default=8)
    given = options.parse_args()
    write_all(given.folder, rendered_faces(given.kit) if given.kit else example_faces(), given.people)
