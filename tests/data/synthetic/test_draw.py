"""Drawing a twin by the name of its format."""

from __future__ import annotations

from pathlib import Path

import pytest

from mer_data import synthetic
from mer_data.problems import BadInput
from mer_data.synthetic import COMPOSITE_TWINS, PROJECT_TWINS, TWINS, read_truth


def test_any_format_is_drawn_and_its_progress_told(tmp_path: Path) -> None:
    for format_, subjects, clips in (("casme2", 2, 4), ("dual_atme", 3, 6)):
        seen: list[tuple[int, int]] = []
        synthetic.draw(
            format_,
            tmp_path / format_,
            subjects=subjects,
            clips=clips,
            seed=2,
            progress=lambda done, total, seen=seen: seen.append((done, total)),
        )
        truths = read_truth(tmp_path / format_).values()
        assert (len({truth.subject for truth in truths}), len(truths)) == (subjects, clips)
        assert seen == [(done, clips) for done in range(1, clips + 1)]


@pytest.mark.parametrize("chosen", [{"subjects": 2}, {"clips": 4}])
def test_the_clips_of_a_published_list_cannot_be_chosen(tmp_path: Path, chosen: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"megc2019: its clips are those of the published list \(leave --subjects"):
        synthetic.draw("megc2019", tmp_path / "twin", **chosen)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_and_all_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing: no synthetic dataset of this format") as caught:
        synthetic.draw("nothing", tmp_path / "twin")
    assert all(format_ in str(caught.value) for format_ in {**TWINS, **PROJECT_TWINS, **COMPOSITE_TWINS})
