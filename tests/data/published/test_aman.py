"""AMAN's arrays: frames in the order of their numbers, sampled evenly, read when they are asked for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from contract import Source
from promises.aman import AMAN, LONG, MAP, SHORT

from mer_data.problems import BadInput
from mer_data.published.megc2019 import clip_id


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(AMAN, tmp_path, lambda _: tmp_path)


def test_clips_are_sampled_evenly_in_the_order_of_numbers(source: Source) -> None:
    imported = source.read()
    maps, images = (feature.arrays for feature in imported.features)
    # 12 frames, 8 to 19, down to the 3 of the other clip: positions 0, 5.5 and 11, a half going to the even one.
    for clip, frames in (("EP02_01f", (8, 14, 19)), ("EP03_02", (1, 2, 10))):
        found = maps[f"casme2/sub01/{clip}"]
        assert found.dtype == np.float16
        assert found[:, 0, 0, 0, 0].tolist() == list(frames)
        levels = images[f"casme2/sub01/{clip}"].mean(axis=(2, 3, 4))
        np.testing.assert_allclose(levels, [[frame * 10 + factor for factor in (2, 4, 10)] for frame in frames], atol=1)
    assert imported.features[1].spec.params["factors"] == [2.0, 4.0, 10.06]
    assert "np.linspace" in imported.features[0].spec.params["frames"]


def test_no_more_than_eleven_frames_are_taken(source: Source) -> None:
    shutil.rmtree(source.root / SHORT)
    shutil.rmtree(source.root / "images")
    (feature,) = source.read().features
    assert feature.spec.shape == (11, 2, *MAP)


def test_arrays_are_read_when_they_are_asked_for(source: Source) -> None:
    """So a file that is damaged after the check is named, and only where it is needed."""
    arrays = source.read().features[0].arrays
    for path in (source.root / LONG).rglob("*.npy"):
        path.write_bytes(b"")
    assert arrays["casme2/sub01/EP03_02"].shape == (3, 2, *MAP)
    with pytest.raises(BadInput, match="is not a NumPy array file"):
        arrays["casme2/sub01/EP02_01f"]


def test_names_are_those_of_the_published_list() -> None:
    assert clip_id("6", "006_1_2") == clip_id("006", "006_1_2") == "samm/006/006_1_2"
    assert clip_id("s1", "s1_ne_01") == clip_id("s01", "s01_ne_01") == "smic/s01/s01_ne_01"
    assert clip_id("sub01", "../x") is None
    assert clip_id("nobody", "EP01") is None
