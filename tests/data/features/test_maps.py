"""Maps of u, v and strain: what their names mean, and the numbers they hold."""

from __future__ import annotations

import json

import cv2
import golden_flow
import numpy as np
import pytest

from mer_data.features import FEATURES, flow, maps
from mer_data.features.maps import NAMES, flow_maps
from mer_data.features.spec import ClipFrames
from mer_data.features.strain import STRAINS

GOLDEN = json.loads(golden_flow.PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def frames() -> ClipFrames:
    return golden_flow.frames()


def test_reduce_averages_areas_and_keeps_the_unit() -> None:
    array = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6)
    expected = array.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(maps.reduce(array, (2, 3)), expected)


def test_stretch_is_per_channel_and_rounds() -> None:
    array = np.array([[[-1.0, 0.0, 1.0]], [[10.0, 10.25, 11.0]]], np.float32)
    assert maps.stretch(array).tolist() == [[[0, 128, 255]], [[0, 64, 255]]]
    np.testing.assert_allclose(maps.unit(array), [[[0, 0.5, 1]], [[0, 0.25, 1]]])


def test_stretch_of_a_constant_channel_gives_zeros() -> None:
    array = np.stack([np.full((4, 4), 7, np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)])
    stretched = maps.stretch(array)
    assert stretched.dtype == np.uint8
    assert not stretched[0].any()
    assert (stretched[1].min(), stretched[1].max()) == (0, 255)
    assert not maps.unit(array)[0].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_size_kind_and_frames(name: str, frames: ClipFrames) -> None:
    spec = FEATURES[name]
    array = spec.compute(frames)
    assert (array.shape, array.dtype) == (spec.shape, np.dtype(spec.dtype))
    assert spec.size == (int(name.split("_")[2]),) * 2
    assert spec.frames == ("onset-offset" if "offset" in name else "onset-apex")
    assert spec.dtype == ("uint8" if "uvs" in name else "float32")
    assert spec.params["opencv"] == cv2.__version__


def test_every_version_has_its_own_key() -> None:
    assert len({FEATURES[name].key() for name in NAMES}) == len(NAMES)
    without_names = [json.dumps({**FEATURES[name].describe(), "name": ""}, sort_keys=True) for name in NAMES]
    assert len(set(without_names)) == len(NAMES)


@pytest.mark.parametrize(
    "name",
    ["flow_uvs", "flow_uvs_0", "flow_uvs_28_lk", "flow_uvs_28_offset_dis", "flow_uvs_28_tvl1", "flow_meb_64_meb"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form|names a default"):
        flow_maps(name)


def test_names_beyond_the_registered_ones_have_the_same_meaning(frames: ClipFrames) -> None:
    spec = flow_maps("flow_raw_56_dis_offset_quarter")
    assert (spec.size, spec.frames, spec.params["algorithm"]) == ((56, 56), "onset-offset", "OpenCV DIS")
    before, after = map(flow.grey, frames)
    found = flow.dis(before, after)
    expected = maps.reduce(np.concatenate([found, STRAINS["quarter"].compute(found)[None]]), (56, 56))
    np.testing.assert_array_equal(spec.compute(frames), expected)


def test_offtanet_reduces_the_colour_frames_first(frames: ClipFrames) -> None:
    small = [cv2.resize(frame, (28, 28), interpolation=cv2.INTER_CUBIC) for frame in frames]
    found = flow.tvl1(*(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in small))
    u_x, u_y = (cv2.Sobel(found[0], cv2.CV_64F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    v_x, v_y = (cv2.Sobel(found[1], cv2.CV_64F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    published = np.sqrt(u_x**2 + u_y**2 + 0.5 * (v_x + u_y) ** 2)
    textbook = np.sqrt(u_x**2 + v_y**2 + 0.5 * (v_x + u_y) ** 2)
    for name, strain in (("flow_offtanet_28", published), ("flow_offtanet_28_standard-sobel", textbook)):
        array = FEATURES[name].compute(frames)
        np.testing.assert_array_equal(array[:2], found)
        np.testing.assert_allclose(array[2], strain, rtol=1e-4, atol=1e-5)


def test_raw_maps_are_in_pixels_of_the_frames(frames: ClipFrames) -> None:
    y, x = np.mgrid[0 : golden_flow.SHAPE[0], 0 : golden_flow.SHAPE[1]].astype(np.float64)
    truth = maps.reduce(np.stack(golden_flow.motion(x, y)).astype(np.float32), (28, 28))
    array = FEATURES["flow_raw_28"].compute(frames)
    inner = (slice(None), slice(4, -4), slice(4, -4))
    assert np.abs(array[:2] - truth)[inner].mean() < 0.05
    assert np.corrcoef(array[1][inner[1:]].ravel(), truth[1][inner[1:]].ravel())[0, 1] > 0.99


def test_meb_is_stretched_at_full_size_and_then_reduced(frames: ClipFrames) -> None:
    array = FEATURES["flow_meb_64"].compute(frames)
    assert array.min() >= 0
    assert array.max() <= 1
    assert (array.max(axis=(1, 2)) < 1).any()  # an average of pixels does not reach the largest of them
    before, after = map(flow.grey, frames)
    found = flow.tvl1(before, after)
    full = np.concatenate([found, STRAINS["meb"].compute(found)[None]])
    np.testing.assert_allclose(array, maps.reduce(maps.unit(full), (64, 64)))


@pytest.mark.parametrize("brighter", [-9, 10])
def test_levelled_flow_does_not_take_light_for_motion(brighter: int) -> None:
    onset, apex = golden_flow.frames()
    lit = ClipFrames([onset, np.clip(apex.astype(int) + brighter, 0, 255).astype(np.uint8)], (1, 2), 1, 2)
    steady = maps.pair_flow(golden_flow.frames())
    plain, levelled = maps.pair_flow(lit), maps.pair_flow(lit, level=True)
    assert plain is not levelled

    def error(found: np.ndarray) -> float:
        return float(np.hypot(*(found - steady)).mean())

    assert error(levelled) < 0.05
    assert error(levelled) < error(plain) / 4
    whole = [FEATURES[name].compute(lit) for name in ("flow_uvs_28", "flow_uvs_28_level")]
    assert (whole[0] != whole[1]).any()


def test_flow_uvs_28_has_the_form_of_the_published_maps(frames: ClipFrames) -> None:
    array = FEATURES["flow_uvs_28"].compute(frames)
    assert array.min(axis=(1, 2)).tolist() == [0, 0, 0]
    assert array.max(axis=(1, 2)).tolist() == [255, 255, 255]
    row, column = np.unravel_index(array[1].argmin(), (28, 28))  # the upward motion, where it was put
    assert abs(row - 40 * 28 / 96) <= 1.5
    assert abs(column - 30 * 28 / 80) <= 1.5


def test_flow_uvs_28_is_defined_as_ever() -> None:
    """Its shards in users' stores stay valid: the definition, but for the version of OpenCV, does not change."""
    assert FEATURES["flow_uvs_28"].describe() == {
        "name": "flow_uvs_28",
        "version": 1,
        "frames": "onset-apex",
        "channels": ["u", "v", "strain"],
        "size": [28, 28],
        "dtype": "uint8",
        "params": {
            "grey": "BGR luminance, 8 bit",
            "algorithm": "OpenCV DualTVL1",
            "algorithm_params": flow.TVL1_PARAMS,
            "working_size": "crop",
            "strain": "standard, central differences, at working size",
            "reduction": "area, after the flow",
            "flow_units": "source",
            "scaling": "minmax-map to 0..255 after the reduction",
            "opencv": cv2.__version__,
        },
    }


@pytest.mark.parametrize("name", golden_flow.FEATURES_HERE)
def test_numbers_are_as_ever(name: str) -> None:
    found, golden = golden_flow.fingerprint(name), GOLDEN[name]
    assert found["version"] == golden["version"]
    # Floating point differs a little between machines, which may turn a byte into its neighbour.
    steps = FEATURES[name].dtype == "uint8"
    np.testing.assert_allclose(found["mean"], golden["mean"], atol=0.05 if steps else 1e-3)
    np.testing.assert_allclose(found["values"], golden["values"], atol=1 if steps else 1e-3)


@pytest.mark.parametrize("name", ["flow_uvs_28", "flow_offtanet_28"])
def test_equal_frames_give_zeros(name: str, frames: ClipFrames) -> None:
    assert np.abs(FEATURES[name].compute(ClipFrames([frames.images[0]] * 2))).max() < 1e-3


def test_frames_of_two_sizes_are_refused() -> None:
    frames = ClipFrames([np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)])
    for name in ("flow_uvs_28", "flow_uvs_28_farneback", "flow_uvs_28_dis"):
        with pytest.raises(ValueError, match="40x30 and 40x31"):
            FEATURES[name].compute(frames)
