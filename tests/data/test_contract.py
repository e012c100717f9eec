"""What every format promises; new formats are tested by being registered, with a table of their own in ``promises``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from common import cases
from contract import Case, Promises, Source
from promises import PROMISES

from mer_data import schema
from mer_data.formats import FORMATS, import_dataset, read_format
from mer_data.frames import list_frames
from mer_data.imported import Imported
from mer_data.problems import BadInput
from mer_data.storage.store import Store
from mer_data.synthetic import PROJECT_TWINS, TWINS, read_truth

TwinOf = Callable[[str], Path]


def test_every_format_has_a_twin_and_a_table() -> None:
    assert set(FORMATS) == {*TWINS, *PROJECT_TWINS} == set(PROMISES)


@pytest.mark.parametrize(
    ("promises", "case"),
    [
        pytest.param(table, case, id=f"{table.format}-{case.name}")
        for table in PROMISES.values()
        for case in cases(table)
    ],
)
def test_what_is_done_to_a_source_and_what_comes_of_it(
    promises: Promises, case: Case, tmp_path: Path, twin_of: TwinOf
) -> None:
    case.check(Source(promises, tmp_path, twin_of))


@pytest.fixture(params=PROMISES)
def promises(request: pytest.FixtureRequest) -> Promises:
    return PROMISES[request.param]


@pytest.fixture(scope="module")
def imported_twin(twin_of: TwinOf) -> Callable[[str], Imported]:
    read: dict[str, Imported] = {}
    return lambda format_: read.get(format_) or read.setdefault(format_, read_format(format_, [twin_of(format_)]))


def test_a_twin_is_read_as_it_was_planted(
    promises: Promises, twin_of: TwinOf, imported_twin: Callable[[str], Imported]
) -> None:
    root, expected = twin_of(promises.format), promises.twin
    truths, imported = read_truth(root), imported_twin(promises.format)
    assert not schema.find_problems(imported.clips, "twin")
    assert len(imported.clips) == expected.clips
    assert len({clip.subject for clip in imported.clips}) == expected.subjects
    assert {clip.id for clip in imported.clips} == set(truths)
    if imported.frame_root:
        assert [clip.id for clip in imported.clips] == list(truths)
    lacking = 0
    for clip in imported.clips:
        truth = truths[clip.id]
        wanted = {
            "dataset": truth.dataset,
            "subject": f"{truth.dataset}/{truth.subject}",
            "name": truth.name,
            "emotion": truth.emotion,
            "onset": truth.onset,
            "apex": truth.apex,
            "offset": truth.offset,
            "apex_source": "annotated" if truth.apex_in_sheet else "midpoint",
            "action_units": truth.action_units or None,
            **expected.clip(truth),
        }
        assert {name: getattr(clip, name) for name in wanted} == wanted
        if not expected.channels:
            assert (clip.frames, imported.frame_root) == (None, None)
            continue
        files = list_frames(imported.frame_root / clip.frames)
        lacking += len(set(range(truth.onset, truth.offset + 1)) - set(files))
        if expected.frames:
            assert list(files) == list(expected.frames(truth))
        picture = cv2.imread(str(files[clip.apex]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (truth.height, truth.width, 3)[: 2 if expected.channels == 1 else 3]
    assert lacking == expected.lacking
    for words, times in expected.said.items():
        assert sum(words in note for note in imported.notes) == times, (words, imported.notes)
    expected.habits(root, imported)


def test_what_is_usual_is_said_once(promises: Promises, tmp_path: Path, twin_of: TwinOf) -> None:
    source = Source(promises, tmp_path, twin_of)
    said = source.read().notes if promises.usual else ()
    for words in promises.usual:
        assert sum(note.endswith(words) for note in said) == 1, (words, said)


def test_what_is_read_reaches_the_store(
    promises: Promises, twin_of: TwinOf, imported_twin: Callable[[str], Imported], tmp_path: Path
) -> None:
    store, imported = Store(tmp_path / "store"), imported_twin(promises.format)
    import_dataset(promises.format, [twin_of(promises.format)], store, "twin")
    stored = store.dataset("twin")
    assert store.names() == ["twin"]
    assert (stored.clips, stored.format) == (imported.clips, promises.format)
    assert stored.frame_root == imported.frame_root
    ids = [clip.id for clip in reversed(imported.clips)]
    for feature in imported.features:
        assert set(feature.arrays) == set(ids)
        with pytest.raises(NotImplementedError, match="imported"):
            feature.spec.compute([])
        found = store.feature("twin", feature.spec.name)
        assert (found.channels, found.source) == (feature.spec.channels, f"imported: {feature.origin}")
        np.testing.assert_array_equal(found.gather(ids), np.stack([feature.arrays[clip_id] for clip_id in ids]))


@pytest.mark.parametrize("format_", [name for name, table in PROMISES.items() if table.clip and table.together])
def test_what_cannot_be_used_is_left_out_by_name_if_that_is_wanted(
    format_: str, tmp_path: Path, twin_of: TwinOf
) -> None:
    table = PROMISES[format_]
    source = Source(table, tmp_path, twin_of)
    (good,) = source.read().clips
    for edit in table.before:
        edit(source)
    source.write_rows({}, *(change for change, _ in table.together))
    problems = source.problems()
    imported = read_format(format_, [source.path(path) for path in source.sources], partial=True)
    assert good.frames in {clip.frames for clip in imported.clips}
    told, others = imported.notes[: imported.left_out], imported.notes[imported.left_out :]
    assert all(note.startswith("left out: ") for note in told)
    assert not any(note.startswith("left out: ") for note in others)
    assert len(imported.clips) + len(told) == imported.edition.rows
    for problem in problems:
        assert sum(problem in note for note in told) == 1, problem


@pytest.mark.parametrize("format_", PROMISES)
def test_the_same_arguments_give_the_same_twin(format_: str, twin_of: TwinOf, draw_twin: Callable[[str], Path]) -> None:
    def content(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert content(twin_of(format_)) == content(draw_twin(format_))


@pytest.mark.parametrize("format_", PROMISES)
def test_a_twin_that_cannot_be_drawn_leaves_nothing(format_: str, draw_twin: Callable[..., Path]) -> None:
    beyond = [{"clips": 1000}, {"subjects": 1000, "clips": 1000}] if format_ in PROJECT_TWINS else []
    for wrong in ({"subjects": 0}, {"subjects": 7, "clips": 6}, {"size": (8, 8)}, *beyond):
        with pytest.raises(BadInput, match="cannot be drawn"):
            draw_twin(format_, **wrong)


def test_formats_sources_and_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean 'casme2'"):
        read_format("casme_2", [tmp_path])
    with pytest.raises(BadInput) as caught:
        read_format("casme2", [tmp_path / "gone", tmp_path / "lost"])
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path / name}: no such file or folder" for name in ("gone", "lost")
    ]
    with pytest.raises(BadInput, match="cannot be a dataset's name"):
        import_dataset("casme2", [tmp_path], Store(tmp_path / "store"), "../elsewhere")
    assert not (tmp_path / "store").exists()
