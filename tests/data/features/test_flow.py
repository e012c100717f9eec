"""Flow by all algorithms, against shifts and fields that are known."""

from __future__ import annotations

import platform
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_data.datasets import casme2
from mer_data.features import flow, tvl1
from mer_data.features.maps import reduce
from mer_data.frames import list_frames
from mer_data.synthetic import planted_flow


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


# Error allowed, in pixels: TV-L1 is exact, the others are known to be less so for small shifts.
TOLERANCE = {"tvl1": 0.05, "farneback": 0.06, "dis": 0.1}


@pytest.mark.parametrize("shift", [(0.25, 0.0), (0.5, -0.5), (1.5, -0.75), (0.0, 2.0), (4.0, 2.0)])
@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_flow_of_a_known_shift(name: str, texture: np.ndarray, shift: tuple[float, float]) -> None:
    found = flow.ALGORITHMS[name].compute(texture, _shifted(texture, *shift))
    assert found.dtype == np.float32
    assert found.shape == (2, *texture.shape)
    error = np.hypot(found[0] - shift[0], found[1] - shift[1])[15:-15, 15:-15]
    assert error.mean() < (0.02 if shift == (4.0, 2.0) else TOLERANCE[name])


@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_flow_finds_the_motion_planted_in_a_twin(name: str, twin: Path) -> None:
    errors, still = [], []
    imported = casme2.read([twin])
    for clip in imported.clips[::6]:
        frames = list_frames(imported.frame_root / clip.frames)
        before, after = (flow.grey(cv2.imread(str(frames[number]))) for number in (clip.onset, clip.apex))
        planted = planted_flow(twin, clip.id)
        inner = (slice(None), slice(10, -10), slice(10, -10))
        errors.append(np.hypot(*(flow.ALGORITHMS[name].compute(before, after) - planted)[inner]).mean())
        still.append(np.hypot(*planted[inner]).mean())
    print(f"{name}: mean end-point error {np.mean(errors):.3f} px of motion {np.mean(still):.3f} px")
    assert np.mean(errors) < {"tvl1": 0.08, "farneback": 0.1, "dis": 0.14}[name]


@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_a_pair_gives_the_same_bytes_whatever_was_computed_before(name: str, texture: np.ndarray) -> None:
    compute, after = flow.ALGORITHMS[name].compute, _shifted(texture, 1.0, -0.5)
    first = compute(texture, after)
    compute(texture[:28, :28].copy(), after[:28, :28].copy())
    np.testing.assert_array_equal(compute(texture, after), first)


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


@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_transposed_images_exchange_u_and_v(name: str, texture: np.ndarray) -> None:
    compute, after = flow.ALGORITHMS[name].compute, _shifted(texture, 1.0, -0.5)
    plain, turned = compute(texture, after), compute(texture.T.copy(), after.T.copy())
    assert np.abs(plain - turned[::-1].transpose(0, 2, 1))[:, 15:-15, 15:-15].mean() < 0.05


@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_mirrored_images_give_the_mirrored_map_with_negative_u(name: str, texture: np.ndarray) -> None:
    compute, after = flow.ALGORITHMS[name].compute, _shifted(texture, 1.0, -0.5)
    plain, mirrored = compute(texture, after), compute(texture[:, ::-1].copy(), after[:, ::-1].copy())
    expected = plain[:, :, ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    assert np.abs(mirrored - expected)[:, 15:-15, 15:-15].mean() < 0.05


def test_exchanged_images_turn_the_signs(texture: np.ndarray) -> None:
    after = _shifted(texture, 1.0, -0.5)
    there, back = flow.tvl1(texture, after), flow.tvl1(after, texture)
    assert np.abs(there + back)[:, 15:-15, 15:-15].mean() < 0.02


def test_local_bump_survives_reduction_after_the_flow_only() -> None:
    noise = np.random.default_rng(1).standard_normal((200, 200), np.float32)
    before = _bytes(cv2.GaussianBlur(noise, (0, 0), 2))
    y, x = np.mgrid[0:200, 0:200].astype(np.float32)
    truth = -2 * np.exp(-((x - 110) ** 2 + (y - 90) ** 2) / (2 * 15**2))
    after = _shifted(before, 0, truth)
    found = flow.tvl1(before, after)
    row, column = np.unravel_index(found[1].argmin(), (200, 200))
    assert found[1].min() == pytest.approx(-1.9, abs=0.15)
    assert (row, column) == (pytest.approx(90, abs=2), pytest.approx(110, abs=2))
    assert np.corrcoef(found[1].ravel(), truth.ravel())[0, 1] > 0.98
    assert found[0].std() < 0.03

    small_truth = reduce(truth[None], (28, 28))[0]
    right_order = reduce(found, (28, 28))[1]
    small = [_u8(reduce(image[None].astype(np.float32), (28, 28))[0]) for image in (before, after)]
    wrong_order = flow.tvl1(*small)[1]
    assert np.corrcoef(right_order.ravel(), small_truth.ravel())[0, 1] > 0.99
    assert np.corrcoef(wrong_order.ravel(), small_truth.ravel())[0, 1] < 0.6


@pytest.mark.parametrize("name", flow.ALGORITHMS)
def test_equal_images_give_zeros(name: str, texture: np.ndarray) -> None:
    found = np.abs(flow.ALGORITHMS[name].compute(texture, texture))
    assert found[:, 30:-30, 30:-30].max() < 1e-3
    if name != "farneback":  # it moves its border by up to 0.2 pixels
        assert found.max() < 1e-3


def test_grey_uses_the_order_blue_green_red() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 255
    assert flow.grey(red)[0, 0] == 76  # 0.299 * 255


def test_the_parameters_are_the_library_s_defaults() -> None:
    algorithm = cv2.optflow.DualTVL1OpticalFlow_create()
    getters = {
        "tau": "Tau", "lambda": "Lambda", "theta": "Theta", "scales": "ScalesNumber", "warps": "WarpingsNumber",
        "epsilon": "Epsilon", "inner_iterations": "InnerIterations", "outer_iterations": "OuterIterations",
        "scale_step": "ScaleStep", "gamma": "Gamma", "median_filtering": "MedianFiltering",
        "use_initial_flow": "UseInitialFlow",
    }  # fmt: skip
    defaults = {name: getattr(algorithm, f"get{getter}")() for name, getter in getters.items()}
    assert defaults == flow.TVL1_PARAMS


def test_tvl1_is_compiled_too_where_machine_code_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(self: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    def twice(x: float) -> float:
        return 2 * x

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", read_only)
    assert tvl1.compiled(twice)(21) == 42


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere OpenCV fuses operations")
@pytest.mark.parametrize("size", [(28, 28), (17, 40), (112, 112), (97, 141), (224, 200)], ids=str)
def test_tvl1_gives_the_bytes_of_opencv(size: tuple[int, int]) -> None:
    """Also where the flow is large at the border, where there is nothing to see, and for the next pair."""
    rng = np.random.default_rng(7)
    height, width = size
    wide = cv2.GaussianBlur(rng.random((height + 20, width + 20)), (0, 0), 2)
    wide = np.uint8(255 * (wide - wide.min()) / np.ptp(wide))
    wide[:, : width // 4] = 90
    before = wide[10:-10, 10:-10]
    for shift in (0.3, -1.6, 4.0):
        matrix = np.array([[1, 0.004, shift], [0.003, 0.99, 0.4]])
        after = cv2.warpAffine(wide, matrix, (width + 20, height + 20))[10:-10, 10:-10]
        expected = cv2.optflow.DualTVL1OpticalFlow_create().calc(before, after, None)
        np.testing.assert_array_equal(flow.tvl1(before, after), expected.transpose(2, 0, 1))
