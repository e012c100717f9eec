"""What is peculiar to a dataset and fits no table of the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from contract import Source
from promises import PROMISES

from mer_data.corrections import Correction
from mer_data.formats import read_format
from mer_data.synthetic.casme_sq import FOLDERS, STIMULI, make_casme_sq_videos


def test_a_corrected_emotion_counts(
    tmp_path: Path, twin_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fix = Correction("S05", "S05-04-003", "", "emotion", "disgust", "fear", "exchanged", "a test")
    monkeypatch.setattr("mer_data.corrections.corrections", lambda dataset: (fix,))
    imported = Source(PROMISES["mmew"], tmp_path, twin_of).read()
    assert imported.clips[0].emotion == "fear"
    assert "disgust corrected to fear" in imported.notes[0]


def test_a_twin_of_whole_videos_is_read_as_one_of_cut_samples(tmp_path: Path, twin_of: Callable[[str], Path]) -> None:
    wanted = PROMISES["casme_sq"].twin
    small = {"seed": 1, "size": (32, 40), "length": (6, 8)}
    make_casme_sq_videos(tmp_path / "videos", subjects=wanted.subjects, clips=wanted.clips, **small)
    videos, samples = (read_format("casme_sq", [root]) for root in (tmp_path / "videos", twin_of("casme_sq")))
    told = [[(clip.id, clip.onset, clip.apex, clip.offset) for clip in read.clips] for read in (videos, samples)]
    assert told[0] == told[1]
    assert len({clip.frames for clip in videos.clips}) < len(videos.clips)


def test_the_twin_of_casme_sq_plants_what_is_in_real_copies() -> None:
    assert {number for number in range(15, 41) if number not in FOLDERS} == {17, 18, 28, 39}
    assert [FOLDERS[number - 1] for number in (2, 8, 9, 11, 14, 15, 18, 20, 21)] == [
        16, 24, 25, 27, 31, 32, 35, 37, 38,
    ]  # fmt: skip
    assert all(code.startswith("0") for code, _ in STIMULI.values())
