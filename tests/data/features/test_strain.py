"""Optical strain in all versions, against fields whose strain is known."""

from __future__ import annotations

import numpy as np
import pytest

from mer_data.features.strain import STRAINS

Y, X = np.mgrid[0:20, 0:24].astype(np.float32)
ZERO = np.zeros_like(X)
INNER = (slice(1, -1), slice(1, -1))
VERSIONS = ("standard", "quarter", "standard-sobel", "offtanet", "meb")

# One row for each field: the strain by each of VERSIONS at an inner pixel.
FIELDS = {
    "translation": ((ZERO + 3, ZERO - 2), (0, 0, 0, 0, 0)),
    "two stretches": ((0.1 * X, 0.2 * Y), (0.2236, 0.2236, 1.7889, 0.8000, 1.2649)),
    "rotation": ((-0.1 * Y, 0.1 * X), (0, 0, 0, 0.8000, 1.1314)),
    "shear": ((0.1 * Y, ZERO), (0.0707, 0.0500, 0.5657, 0.9798, 0.8000)),
    "expansion": ((0.1 * X, 0.1 * Y), (0.1414, 0.1414, 1.1314, 0.8000, 0.8000)),
    "stretch": ((0.1 * X, ZERO), (0.1000, 0.1000, 0.8000, 0.8000, 0.5657)),
    "mixed": ((0.1 * X + 0.05 * Y, 0.02 * X + 0.2 * Y), (0.2290, 0.2263, 1.8322, 0.9782, 1.3363)),
}


@pytest.mark.parametrize("field", FIELDS)
def test_strain_of_linear_fields(field: str) -> None:
    (u, v), expected = FIELDS[field]
    for name, value in zip(VERSIONS, expected, strict=True):
        strain = STRAINS[name].compute(np.stack([u, v]))
        assert strain.dtype == np.float32
        assert strain.shape == X.shape
        np.testing.assert_allclose(strain[INNER], value, atol=6e-5, err_msg=name)


@pytest.mark.parametrize("name", ["standard", "standard-backward"])
@pytest.mark.parametrize(
    ("u", "v", "expected"),
    [
        pytest.param(ZERO + 3, ZERO - 2, 0.0, id="translation"),
        pytest.param(-0.1 * Y, 0.1 * X, 0.0, id="rotation"),
        pytest.param(X, ZERO, 1.0, id="unit stretch, horizontal"),
        pytest.param(ZERO, Y, 1.0, id="unit stretch, vertical"),
        pytest.param(Y, ZERO, 0.5**0.5, id="unit shear"),
        pytest.param(0.1 * X + 0.05 * Y, 0.02 * X + 0.2 * Y, 0.2290, id="mixed"),
    ],
)
def test_differences_are_exact_at_the_border_too(name: str, u: np.ndarray, v: np.ndarray, expected: float) -> None:
    np.testing.assert_allclose(STRAINS[name].compute(np.stack([u, v])), expected, atol=5e-5)


def test_a_bump_strains_as_its_derivatives_say() -> None:
    """v = exp(-r² / 2s²): ux = uy = 0, so the standard strain is sqrt(vy² + vx² / 2), whose peak is not the bump's."""
    x, y, s = X - 12, Y - 10, 5.0
    v = np.exp(-(x**2 + y**2) / (2 * s**2))
    truth = v / s**2 * np.sqrt(y**2 + x**2 / 2)
    strain = STRAINS["standard"].compute(np.stack([ZERO, v]).astype(np.float32))
    np.testing.assert_allclose(strain[INNER], truth[INNER], atol=0.004)
    assert strain[10, 12] < 1e-6


def test_backward_differences_are_half_a_pixel_late() -> None:
    u = np.square(X)  # its slope is 2 x; between x - 1 and x it is 2 x - 1
    strain = STRAINS["standard-backward"].compute(np.stack([u, ZERO]))
    np.testing.assert_allclose(strain[0, 1:], 2 * np.arange(1, 24) - 1)


@pytest.mark.parametrize("name", STRAINS)
def test_strain_grows_with_the_motion_and_is_never_negative(name: str) -> None:
    flow = np.random.default_rng(0).standard_normal((2, 20, 24)).astype(np.float32)
    strain = STRAINS[name].compute(flow)
    assert strain.min() >= 0
    np.testing.assert_allclose(STRAINS[name].compute(-3 * flow), 3 * strain, rtol=1e-4)
