"""Every dataset's twin goes through its importer into a store and comes out as it was planted."""

from pathlib import Path

import pytest

from mer_data.formats import FORMATS, import_dataset, read_format
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import PROJECT_TWINS, TWINS, read_truth


@pytest.mark.parametrize("format_", TWINS)
def test_a_twin_imports_as_it_was_planted(format_: str, tmp_path: Path) -> None:
    TWINS[format_](tmp_path / "twin", subjects=3, clips=6, seed=5, size=(64, 72), length=(10, 14))
    store = Store(tmp_path / "store")
    import_dataset(format_, [tmp_path / "twin"], store, "twin")
    clips = {clip.id: clip for clip in store.dataset("twin").clips}
    truths = read_truth(tmp_path / "twin")
    assert set(clips) == set(truths)
    for clip_id, truth in truths.items():
        clip = clips[clip_id]
        assert (clip.onset, clip.apex, clip.offset) == (truth.onset, truth.apex, truth.offset), clip_id
        assert clip.emotion == truth.emotion
        assert clip.subject == f"{format_}/{truth.subject}"


def test_every_dataset_has_a_twin() -> None:
    assert set(FORMATS) == {*TWINS, *PROJECT_TWINS}


def test_formats_and_sources_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'casme2'"):
        read_format("casme_2", [tmp_path])
    with pytest.raises(BadInput, match="gone: no such file or folder"):
        read_format("casme2", [tmp_path / "gone"])
    with pytest.raises(BadInput, match="cannot be a dataset's name"):
        import_dataset("casme2", [tmp_path], Store(tmp_path / "store"), "../elsewhere")
    assert not (tmp_path / "store").exists()
