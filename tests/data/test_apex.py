"""Spotting the apex on twins, where it is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data.apex import midpoint, spot_apex
from mer_data.frames import list_frames
from mer_data.problems import BadInput
from mer_data.synthetic import make_casme2, read_truth


@pytest.fixture(scope="module")
def truths(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, int, int, int]]:
    """Frame folder, onset, true apex and offset of clips whose apex lies anywhere in the middle third."""
    dest = tmp_path_factory.mktemp("apex") / "CASME2"
    make_casme2(dest, subjects=4, clips=10, seed=1, length=(24, 40))
    found = read_truth(dest).values()
    return [(dest / "Cropped" / t.subject / t.name, t.onset, t.apex, t.offset) for t in found]


def test_flow_finds_the_apex_of_most_clips(truths: list[tuple[Path, int, int, int]]) -> None:
    errors = [abs(spot_apex(list_frames(folder), on, off) - apex) for folder, on, apex, off in truths]
    middle = [abs(midpoint(on, off) - apex) for _, on, apex, off in truths]
    assert np.median(errors) <= 3
    assert np.mean(errors) < np.mean(middle)


def rising_and_falling(folder: Path, apex: int, frames: int, drift: float = 0.0) -> dict[int, Path]:
    """Frames of a texture with a bump that moves most at `apex`, and a whole picture that drifts."""
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.standard_normal((160, 160)).astype(np.float32), (0, 0), 3)
    texture = 128 + 50 * texture / texture.std()
    x, y = np.meshgrid(*[np.arange(160, dtype=np.float32)] * 2)
    bump = np.exp(-((x - 80) ** 2 + (y - 110) ** 2) / (2 * 15**2))
    folder.mkdir()
    for number in range(frames):
        level = number / apex if number <= apex else (frames - number) / (frames - apex)
        at = x - drift * number, y - 1.8 * level * bump
        moved = cv2.remap(texture, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        cv2.imwrite(str(folder / f"img{number}.png"), np.clip(moved, 0, 255).astype(np.uint8))
    return list_frames(folder)


@pytest.mark.parametrize("method", ["flow", "diff", "std"])
def test_every_method_finds_it_without_drift(tmp_path: Path, method: str) -> None:
    frames = rising_and_falling(tmp_path / "clip", apex=9, frames=30)
    assert abs(spot_apex(frames, 0, 29, method=method) - 9) <= 2


def test_only_flow_finds_it_in_a_drifting_picture(tmp_path: Path) -> None:
    frames = rising_and_falling(tmp_path / "clip", apex=9, frames=30, drift=0.1)
    assert abs(spot_apex(frames, 0, 29, method="flow") - 9) <= 2
    assert abs(spot_apex(frames, 0, 29, method="diff") - 9) > 5


def test_a_clip_of_one_frame_has_its_middle(tmp_path: Path) -> None:
    assert spot_apex({}, 10, 20) == midpoint(10, 20) == 15
    assert midpoint(10, 11) == 11


def test_unreadable_frames_are_named(tmp_path: Path) -> None:
    frames = rising_and_falling(tmp_path / "clip", apex=3, frames=8)
    frames[4].write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"img4\.png"):
        spot_apex(frames, 0, 7)
