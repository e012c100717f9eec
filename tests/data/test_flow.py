"""Flow, strain and the maps made of them, against fields and shifts that are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mer_data.features import FEATURES, flow
from mer_data.problems import BadInput

Y, X = np.mgrid[0:20, 0:24].astype(np.float32)
ZERO = np.zeros_like(X)


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """Smooth random texture, uint8 [120, 120]: flow is well defined everywhere."""
    noise = np.random.default_rng(0).standard_normal((120, 120), np.float32)
    return _bytes(cv2.GaussianBlur(noise, (0, 0), 2))


def _bytes(image: np.ndarray) -> np.ndarray:
    return cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).round().astype(np.uint8)


def _shifted(image: np.ndarray, u: np.ndarray | float, v: np.ndarray | float) -> np.ndarray:
    """The image after a motion (u, v): each pixel is looked up where it came from."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    moved = cv2.remap(
        image.astype(np.float32),
        (x - u).astype(np.float32),
        (y - v).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.clip(moved, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        pytest.param(ZERO + 3, ZERO - 2, 0.0, id="translation"),
        pytest.param(-0.1 * Y, 0.1 * X, 0.0, id="rotation"),
        pytest.param(X, ZERO, 1.0, id="unit stretch, horizontal"),
        pytest.param(ZERO, Y, 1.0, id="unit stretch, vertical"),
        pytest.param(Y, ZERO, 0.5**0.5, id="unit shear"),
        pytest.param(0.1 * X, 0.2 * Y, 0.2236, id="two stretches"),
        pytest.param(0.1 * Y, ZERO, 0.0707, id="shear"),
        pytest.param(0.1 * X, 0.1 * Y, 0.1414, id="expansion"),
        pytest.param(0.1 * X, ZERO, 0.1, id="stretch"),
        pytest.param(0.1 * X + 0.05 * Y, 0.02 * X + 0.2 * Y, 0.2290, id="mixed"),
    ],
)
def test_strain_of_linear_fields(u: np.ndarray, v: np.ndarray, expected: float) -> None:
    strain = flow.strain(np.stack([u, v]))
    assert strain.dtype == np.float32
    assert strain.shape == X.shape
    np.testing.assert_allclose(strain, expected, atol=5e-5)


@pytest.mark.parametrize("shift", [(0.25, 0.0), (0.5, -0.5), (1.5, -0.75), (0.0, 2.0)])
def test_flow_of_a_known_shift(texture: np.ndarray, shift: tuple[float, float]) -> None:
    found = flow.tvl1(texture, _shifted(texture, *shift))
    assert found.dtype == np.float32
    assert found.shape == (2, *texture.shape)
    error = np.hypot(found[0] - shift[0], found[1] - shift[1])[15:-15, 15:-15]
    assert error.mean() < 0.05


def test_u_is_to_the_right_and_v_is_downwards() -> None:
    frame = np.zeros((60, 80), np.float32)
    cv2.circle(frame, (40, 30), 12, 200, -1)
    frame = cv2.GaussianBlur(frame, (0, 0), 3)
    right, down = np.roll(frame, 1, axis=1), np.roll(frame, 1, axis=0)
    to_right, to_below = flow.tvl1(_u8(frame), _u8(right)), flow.tvl1(_u8(frame), _u8(down))
    middle = (slice(None), slice(18, 42), slice(28, 52))
    assert to_right[middle].mean(axis=(1, 2)) == pytest.approx((1, 0), abs=0.2)
    assert to_below[middle].mean(axis=(1, 2)) == pytest.approx((0, 1), abs=0.2)


def _u8(image: np.ndarray) -> np.ndarray:
    return image.round().astype(np.uint8)


def test_transposed_images_exchange_u_and_v(texture: np.ndarray) -> None:
    after = _shifted(texture, 1.0, -0.5)
    plain, turned = flow.tvl1(texture, after), flow.tvl1(texture.T.copy(), after.T.copy())
    assert np.abs(plain - turned[::-1].transpose(0, 2, 1))[:, 15:-15, 15:-15].mean() < 0.02


def test_local_bump_survives_reduction_after_the_flow_only() -> None:
    noise = np.random.default_rng(1).standard_normal((200, 200), np.float32)
    before = _bytes(cv2.GaussianBlur(noise, (0, 0), 2))
    y, x = np.mgrid[0:200, 0:200].astype(np.float32)
    truth = -2 * np.exp(-((x - 110) ** 2 + (y - 90) ** 2) / (2 * 15**2))
    after = _shifted(before, 0, truth)
    small_truth = flow.reduce(truth[None], (28, 28))[0]

    right_order = flow.reduce(flow.tvl1(before, after), (28, 28))[1]
    small = [_u8(flow.reduce(image[None].astype(np.float32), (28, 28))[0]) for image in (before, after)]
    wrong_order = flow.tvl1(*small)[1]
    assert np.corrcoef(right_order.ravel(), small_truth.ravel())[0, 1] > 0.95
    assert np.corrcoef(wrong_order.ravel(), small_truth.ravel())[0, 1] < 0.6


def test_equal_images_give_zeros(texture: np.ndarray) -> None:
    assert np.abs(flow.tvl1(texture, texture)).max() < 1e-3
    frame = cv2.cvtColor(texture, cv2.COLOR_GRAY2BGR)
    assert not FEATURES["flow_uvs_28"].compute([frame, frame]).any()


def test_reduce_averages_areas_and_keeps_the_unit() -> None:
    maps = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6)
    expected = maps.reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(flow.reduce(maps, (2, 3)), expected)


def test_stretch_is_per_channel_and_rounds() -> None:
    maps = np.array([[[-1.0, 0.0, 1.0]], [[10.0, 10.25, 11.0]]], np.float32)
    assert flow.stretch(maps).tolist() == [[[0, 128, 255]], [[0, 64, 255]]]


def test_stretch_of_a_constant_channel_gives_zeros() -> None:
    maps = np.stack([np.full((4, 4), 7, np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)])
    stretched = flow.stretch(maps)
    assert stretched.dtype == np.uint8
    assert not stretched[0].any()
    assert (stretched[1].min(), stretched[1].max()) == (0, 255)


def test_flow_uvs_28_has_the_form_of_the_published_maps(texture: np.ndarray) -> None:
    spec = FEATURES["flow_uvs_28"]
    y, x = np.mgrid[0:120, 0:120]
    after = _shifted(texture, 0, -1.5 * np.exp(-((x - 60) ** 2 + (y - 40) ** 2) / 300))
    maps = spec.compute([cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) for image in (texture, after)])
    assert (maps.shape, maps.dtype) == (spec.shape, np.dtype(spec.dtype))
    assert maps.min(axis=(1, 2)).tolist() == [0, 0, 0]
    assert maps.max(axis=(1, 2)).tolist() == [255, 255, 255]
    row, column = np.unravel_index(maps[1].argmin(), (28, 28))  # the upward motion, where it was put
    assert abs(row - 40 * 28 / 120) <= 1.5
    assert abs(column - 60 * 28 / 120) <= 1.5


def test_grey_uses_the_order_blue_green_red() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 255
    assert flow.grey(red)[0, 0] == 76  # 0.299 * 255


def test_the_definition_says_what_changes_the_bytes() -> None:
    params = FEATURES["flow_uvs_28"].params
    assert params["opencv"] == cv2.__version__
    algorithm = cv2.optflow.DualTVL1OpticalFlow_create()
    getters = {
        "tau": "Tau", "lambda": "Lambda", "theta": "Theta", "scales": "ScalesNumber", "warps": "WarpingsNumber",
        "epsilon": "Epsilon", "inner_iterations": "InnerIterations", "outer_iterations": "OuterIterations",
        "scale_step": "ScaleStep", "gamma": "Gamma", "median_filtering": "MedianFiltering",
        "use_initial_flow": "UseInitialFlow",
    }  # fmt: skip
    defaults = {name: getattr(algorithm, f"get{getter}")() for name, getter in getters.items()}
    assert params["algorithm_params"] == defaults


def test_frames_of_two_sizes_are_refused() -> None:
    frames = [np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)]
    with pytest.raises(ValueError, match="40x30 and 40x31"):
        FEATURES["flow_uvs_28"].compute(frames)


def test_an_opencv_without_tvl1_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, texture: np.ndarray) -> None:
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(BadInput, match="opencv-contrib-python-headless"):
        flow.tvl1(texture, texture)
