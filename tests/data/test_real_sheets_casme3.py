"""CAS(ME)^3 part A as it circulates: apexes at the onset, intervals too long for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.datasets import casme3
from mer_data.imported import ApexRule
from mer_data.schema import Clip
from mer_data.storage.store import Store
from orchestrator.experiment.cohort import make_cohort
from orchestrator.experiment.config import Experiment
from orchestrator.experiment.sections import DatasetChoice

HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")


def read(root: Path, *rows: Sequence[object], apex: ApexRule = "midpoint") -> dict[str, Clip]:
    for subject, video, onset, _, offset in rows:
        last = int(str(offset)) or int(str(onset)) + 99
        numbers = range(min(int(str(onset)), last, 2600), last + 20)
        write_frames(root / f"data/{subject}/{video}/color", [f"{number}.jpg" for number in numbers])
    write_sheet(root / "annotation/partA/any.xlsx", HEADER, *[(*row, "4", "III", "fear") for row in rows])
    return {clip.name: clip for clip in casme3.read_a([root], apex).clips}


@pytest.mark.parametrize("apex", ["midpoint", "spotted"])
def test_no_apex_is_looked_for_beyond_the_definition(tmp_path: Path, apex: ApexRule) -> None:
    (tmp_path / "annotation/partA").mkdir(parents=True)
    clips = read(tmp_path, ("spNO.1", "a", 100, 100, 900), ("spNO.1", "b", 100, 100, 114), apex=apex)
    long, short = clips["a@100"], clips["b@100"]
    assert long.apex is not None
    assert 100 < long.apex <= 107  # 250 ms at 30 frames per second
    assert (long.offset, long.apex_source) == (900, "limited")
    assert short.apex_source == apex


def test_the_middle_of_an_interval_is_limited_to_where_an_apex_may_be(tmp_path: Path) -> None:
    (tmp_path / "annotation/partA").mkdir(parents=True)
    clips = read(tmp_path, ("spNO.1", "a", 100, 100, 900), ("spNO.1", "b", 100, 106, 900))
    assert (clips["a@100"].apex, clips["a@100"].apex_source) == (107, "limited")
    assert (clips["b@100"].apex, clips["b@100"].apex_source) == (106, "annotated")


def test_an_experiment_can_leave_limited_apexes_out(tmp_path: Path) -> None:
    made = [
        Clip("casme3a", f"casme3a/spNO.{person}", f"a@{onset}", "fear", onset, onset + 5, onset + 20, source)
        for person in (1, 2)
        for onset, source in ((10, "annotated"), (50, "limited"), (90, "corrected"))
    ]
    with Store(tmp_path).replacing("casme3a") as writer:
        writer.clips(made, format_="casme3a", frame_root=None)
    chosen, cohort = make_cohort(Store(tmp_path), DatasetChoice(name="casme3a", apex=["annotated", "corrected"]))
    assert {clip.apex_source for clip in chosen} == {"annotated", "corrected"}
    assert (len(cohort.clip_ids), cohort.left_out) == (4, 2)
    one = Experiment.model_validate(
        {"name": "x", "datasets": {"name": "casme3a", "apex": "annotated"}, "models": "all"}
    )
    assert one.datasets[0].apex == ["annotated"]
    with pytest.raises(ValueError, match="known: annotated, corrected, limited, midpoint, spotted"):
        DatasetChoice(name="casme3a", apex=["guessed"])
