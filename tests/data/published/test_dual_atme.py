"""Dual-ATME's lists: labels that are exchanged, pictures of any size."""

from pathlib import Path

import pytest

from mer_data.published.dual_atme import read
from mer_data.synthetic import dual_atme as twins
from mer_data.synthetic.dual_atme import make_dual_atme

SMALL = {"subjects": 4, "clips": 9}


def test_exchanged_labels_are_noted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dual_atme(tmp_path / "a", size=(80, 90), **SMALL)
    imported = read([tmp_path / "a"])
    assert [feature.spec.shape for feature in imported.features] == [(3, 40, 40)] * 2
    clip = imported.clips[0]
    other = "surprise" if clip.emotion != "surprise" else "negative"
    monkeypatch.setattr(twins, "EXCHANGED", {clip.id: other})
    make_dual_atme(tmp_path / "b", **SMALL)
    imported = read([tmp_path / "b"])
    assert imported.clips[0].emotion == other
    count, note = imported.notes
    assert count == "9 clips; the published list megc2019 has 442"
    assert f"1 clips have another class than in the published list megc2019, and keep it: {clip.id} is {other}" in note
