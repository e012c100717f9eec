"""LBP-TOP against a slow reference, and against what is known of its bins."""

from __future__ import annotations

import numpy as np
import pytest
from clips import clip, computed

from mer_data.features.lbp_top import (
    Sampling,
    lbp_codes,
    lbp_top,
    overlapping_blocks,
    split_blocks,
    uniform_table,
)
from mer_data.features.spec import ClipFrames


def sampled(volume: np.ndarray, t: float, y: float, x: float, sampling: Sampling) -> float:
    """One point of a volume, looked up or interpolated between the corners around it."""
    if sampling == "nearest":
        return volume[tuple(int(np.floor(c + 0.5)) for c in (t, y, x))]
    value = 0.0
    base = [int(np.floor(c)) for c in (t, y, x)]
    for corner in np.ndindex(2, 2, 2):
        share = np.prod([1 - abs(c - b - d) for c, b, d in zip((t, y, x), base, corner, strict=True)])
        if share > 1e-9:
            value += share * volume[tuple(np.add(base, corner))]
    return value


def slow_codes(volume: np.ndarray, radii: tuple[int, int, int], points: int, sampling: Sampling) -> np.ndarray:
    """Voxel by voxel, neighbour by neighbour."""
    rx, ry, rt = radii
    frames, height, width = volume.shape
    codes = np.zeros((3, frames - 2 * rt, height - 2 * ry, width - 2 * rx), int)
    for t in range(rt, frames - rt):
        for y in range(ry, height - ry):
            for x in range(rx, width - rx):
                for p in range(points):
                    a = 2 * np.pi * p / points
                    cos, sin = round(np.cos(a), 9), round(np.sin(a), 9)
                    places = (
                        (t, y - ry * sin, x + rx * cos),
                        (t - rt * sin, y, x + rx * cos),
                        (t - rt * sin, y - ry * cos, x),
                    )
                    for plane, place in enumerate(places):
                        if sampled(volume, *place, sampling) >= volume[t, y, x]:
                            codes[plane, t - rt, y - ry, x - rx] |= 1 << p
    return codes


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("radii", "points"), [((1, 1, 4), 4), ((3, 3, 3), 8), ((2, 1, 3), 8), ((1, 3, 2), 6), ((2, 2, 2), 16)]
)
def test_codes_are_those_of_the_slow_reference(radii: tuple[int, int, int], points: int, sampling: Sampling) -> None:
    volume = np.random.default_rng(0).integers(0, 256, (11, 9, 10)).astype(np.uint8)
    found = lbp_codes(volume, radii, points, sampling)
    assert (found == slow_codes(volume, radii, points, sampling)).all()


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
def test_a_bit_is_set_where_the_neighbour_is_not_darker(sampling: Sampling) -> None:
    t, y, x = np.mgrid[:9, :9, :9]
    to_the_right, downwards, later = (lbp_codes((20 * c).astype(np.uint8), (1, 1, 1), 4, sampling) for c in (x, y, t))
    # Neighbours of XY: right, up, left, down. Of XT: right, before, left, after. Of YT: up, before, down, after.
    assert [set(plane.ravel()) for plane in to_the_right] == [{0b1011}, {0b1011}, {0b1111}]
    assert [set(plane.ravel()) for plane in downwards] == [{0b1101}, {0b1111}, {0b1110}]
    assert [set(plane.ravel()) for plane in later] == [{0b1111}, {0b1101}, {0b1101}]


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("points", [4, 8, 16])
def test_a_constant_clip_votes_for_all_ones(points: int, sampling: Sampling) -> None:
    table = uniform_table(points)
    histogram = lbp_top(np.full((9, 12, 12), 77, np.uint8), (3, 3, 3), points, table, split_blocks(6, 6, 1), sampling)
    all_ones = table[-1]
    assert all_ones == table.max() - 1  # uniform, so not in the shared bin
    assert (histogram[0, :, all_ones] == 1).all()


@pytest.mark.parametrize(("points", "bins"), [(4, 15), (8, 59), (16, 243)])
def test_bins_of_the_uniform_mapping(points: int, bins: int) -> None:
    last, first = uniform_table(points), uniform_table(points, shared="first")
    assert np.unique(last).tolist() == np.unique(first).tolist() == list(range(bins))
    own = last < bins - 1
    assert np.bincount(last)[:-1].tolist() == [1] * (bins - 1)
    assert (np.diff(last[own]) == 1).all()  # in ascending order of the codes
    assert (first == np.where(own, last + 1, 0)).all()


def test_four_neighbours_in_the_table_of_eight() -> None:
    codes = uniform_table(8, shared="first")[:16]
    assert np.flatnonzero(codes == 0).tolist() == [5, 9, 10, 11, 13]
    assert codes[codes > 0].tolist() == list(range(1, 12))


def test_votes_are_as_many_for_every_plane() -> None:
    frames, height, width, (rx, ry, rt) = 12, 20, 17, (1, 2, 4)
    codes = lbp_codes(np.zeros((frames, height, width), np.uint8), (rx, ry, rt), 8, "nearest")
    assert codes.shape == (3, frames - 2 * rt, height - 2 * ry, width - 2 * rx)


def test_blocks_without_overlap_share_the_picture_out() -> None:
    (layer,) = split_blocks(168, 138, 5)
    sizes = np.bincount(layer.ravel(), minlength=25)
    assert sizes.sum() == 168 * 138
    assert set(sizes) == {h * w for h in (33, 34) for w in (27, 28)}
    # Row by row, with the edges at round(i * 168 / 5) and round(i * 138 / 5).
    assert [int(np.argmax(layer[:, 0] == 5 * row)) for row in range(5)] == [0, 34, 67, 101, 134]
    assert [int(np.argmax(layer[0] == column)) for column in range(5)] == [0, 28, 55, 83, 110]


def test_histograms_are_of_their_block() -> None:
    rng = np.random.default_rng(0)
    volume, table = rng.integers(0, 256, (9, 14, 18)).astype(np.uint8), uniform_table(4)
    found = lbp_top(volume, (1, 1, 3), 4, table, split_blocks(12, 16, 2), "nearest")
    codes = lbp_codes(volume, (1, 1, 3), 4, "nearest")
    assert found.shape == (4, 3, 15)
    for block, plane in np.ndindex(4, 3):
        row, column = divmod(block, 2)
        part = codes[plane, :, 6 * row : 6 * row + 6, 8 * column : 8 * column + 8]
        np.testing.assert_allclose(found[block, plane], np.bincount(table[part].ravel(), minlength=15) / part.size)


def test_overlapping_blocks_are_those_of_the_arithmetic() -> None:
    """Pixel by pixel as MEB's code counts them: 1-based, with the border still on."""
    border, (height, width), count, overlap = 3, (50, 61), 4, 0.7

    def blocks(x: int, length: int) -> tuple[int, int]:
        free = int(np.ceil((length - 2 * border) / count)) - 1
        over = int(np.ceil(free * overlap)) - 1
        size = int(np.floor((length - 2 * border + over * (count - 1)) / count))
        start = x - border - size - 1
        first = 0 if start < 0 else int(np.floor(start / (size - over) + 1))
        second = int(np.ceil((x - border + (first + 1) * over) / size)) - 1
        return min(first, count - 1), min(second, count - 1)

    one, two = overlapping_blocks(height - 2 * border, width - 2 * border, count, overlap)
    for y, x in np.ndindex(*one.shape):
        rows, columns = blocks(y + border + 1, height), blocks(x + border + 1, width)
        expected = [rows[i] * count + columns[i] for i in (0, 1)]
        assert one[y, x] == expected[0]
        assert two[y, x] == (-1 if rows[0] == rows[1] and columns[0] == columns[1] else expected[1])
    assert (two >= 0).mean() > 0.5  # they do overlap


def test_a_pixel_of_two_blocks_votes_twice() -> None:
    volume = np.full((7, 46, 46), 5, np.uint8)
    one, two = overlapping_blocks(40, 40, 2, 0.7)
    volume[:, :, 23:] = np.random.default_rng(0).integers(0, 256, (7, 46, 23))
    found = lbp_top(volume, (3, 3, 3), 8, uniform_table(8), [one, two], "nearest")
    code = uniform_table(8)[lbp_codes(volume, (3, 3, 3), 8, "nearest")[0]]
    for block in range(4):
        votes = np.concatenate([code[:, layer == block].ravel() for layer in (one, two)])
        np.testing.assert_allclose(found[block, 0], np.bincount(votes, minlength=59) / votes.size)


def test_too_little_room_is_refused() -> None:
    with pytest.raises(ValueError, match="too few for radii"):
        lbp_codes(np.zeros((8, 20, 20), np.uint8), (1, 1, 4), 4, "nearest")
    with pytest.raises(ValueError, match="too few for 8 blocks"):
        overlapping_blocks(16, 16, 8, 0.7)


@pytest.mark.parametrize(
    ("name", "rows", "bins", "golden"),
    [
        ("lbp_top_megc", 75, 15, {(0, 8): 0.2153, (1, 12): 0.4002, (2, 13): 0.0903, (74, 13): 0.1134}),
        ("lbp_top_meb", 192, 59, {(0, 58): 0.1452, (1, 26): 0.2767, (2, 58): 0.2022, (191, 58): 0.2105}),
        ("lbp_top_atn_tim10_p4", 3, 59, {(0, 0): 0.2590, (1, 10): 0.2282, (2, 11): 0.1822}),
        ("lbp_top_atn_tim10_p8", 3, 59, {(0, 0): 0.1267, (1, 27): 0.2183, (2, 27): 0.2102}),
        ("lbp_top_atn_tim64_p4", 3, 59, {(0, 0): 0.2586, (1, 10): 0.2409, (2, 11): 0.1910}),
        ("lbp_top_atn_tim64_p8", 3, 59, {(0, 0): 0.1264, (1, 40): 0.2370, (2, 0): 0.2332}),
    ],
)
def test_registered_features(name: str, rows: int, bins: int, golden: dict[tuple[int, int], float]) -> None:
    histograms = computed(name, clip(3, 7, 12)).reshape(rows, bins)
    np.testing.assert_allclose(histograms.sum(axis=1), 1, atol=1e-5)
    if name.startswith("lbp_top_atn") and name.endswith("p4"):
        assert not histograms[:, 12:].any()
        assert histograms[:, :12].any(axis=0).all()
    assert {place: histograms[place] for place in golden} == pytest.approx(golden, abs=1e-3)


def test_a_clip_of_one_frame_has_a_feature_too() -> None:
    assert np.isfinite(computed("lbp_top_megc", clip(3, 3, 3))).all()


def test_frames_of_two_sizes_are_refused() -> None:
    frames = ClipFrames([np.zeros((30, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8)])
    with pytest.raises(ValueError, match="40x30 and 40x31"):
        computed("lbp_top_megc", frames)
