"""A sheet that equals a known edition is told as such, from the import to the plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from by_hand import write_frames, write_sheet

from mer_data.composites import published
from mer_data.doctor import examine
from mer_data.editions import EDITIONS, KnownEdition, published_counts
from mer_data.formats import FORMATS, import_dataset, read_format
from mer_data.storage.store import Store
from orchestrator.cli import commands as cli
from orchestrator.experiment.cohort import make_cohort
from orchestrator.experiment.sections import DatasetChoice

HEADER = ("Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion")
OF_2014 = {"disgust": 63, "fear": 2, "happiness": 32, "others": 99, "repression": 27, "sadness": 7, "surprise": 25}
OF_2019 = {**OF_2014, "sadness": 4, "surprise": 28}


def write(root: Path, emotions: Mapping[str, int]) -> Path:
    words = [emotion for emotion, count in sorted(emotions.items()) for _ in range(count)]
    people = [f"{number % 26 + 1:02}" for number in range(len(words))]
    names = [f"EP01_{number:03}" for number in range(len(words))]
    first = write_frames(root / "Cropped/sub01/EP01_000", [f"reg_img{number}.jpg" for number in range(1, 5)])
    for person, name in zip(people, names, strict=True):
        folder = root / f"Cropped/sub{person}/{name}"
        folder.parent.mkdir(exist_ok=True)
        if folder != first:
            folder.mkdir()
            for path in first.iterdir():
                (folder / path.name).hardlink_to(path)
    rows = [(person, name, "", 1, 2, 4, "", "4", word) for person, name, word in zip(people, names, words, strict=True)]
    write_sheet(root / "CASME2.xlsx", HEADER, *rows)
    return root


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("editions")
    return {name: write(folder / name, of) for name, of in (("2014", OF_2014), ("2019", OF_2019))}


def test_2014_and_2019_are_told_apart_wherever_a_number_comes_from(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, contents, five = Store(tmp_path), set(), {}
    for name, root in roots.items():
        edition = import_dataset("casme2", [root], store, f"casme2_{name}").edition
        assert edition
        assert (edition.name, edition.rows) == (name, 255)
        assert store.dataset(f"casme2_{name}").edition == edition
        contents.add(edition.content)
        choice = DatasetChoice(name=f"casme2_{name}", classes="casme2-5-class")
        _, cohort = make_cohort(store, choice)
        assert cohort.editions == {f"casme2_{name}": str(edition)}
        five[name] = len(cohort.clip_ids)
    assert len(contents) == 2
    assert five == {"2014": 246, "2019": 249}
    with pytest.raises(SystemExit):
        cli.main(["data", "list", "--store", str(tmp_path), "--json"])
    listed = json.loads(capsys.readouterr().out)["datasets"]
    assert [one["edition"]["name"] for one in listed] == ["2014", "2019"]


def test_a_sheet_that_was_changed_is_of_no_known_edition(tmp_path: Path) -> None:
    edition = read_format("casme2", [write(tmp_path, {**OF_2014, "fear": 3, "others": 98})]).edition
    assert edition
    assert (edition.name, edition.rows) == ("", 255)
    assert str(edition).startswith("no known edition: 255 rows, content ")


def test_the_doctor_tells_the_edition_and_no_difference(roots: dict[str, Path]) -> None:
    findings = examine(read_format("casme2", [roots["2019"]]), "casme2")
    assert any(line.startswith("edition 2019: 255 rows, content ") for line in findings.remarks())
    assert all(not known or here in known for _, here, known in findings.counts())


def test_an_edition_is_told_by_its_rows_where_a_row_holds_several_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(1, f"s01_ne_0{number}", 10, 20, *pair, 0, 40) for number, pair in ((1, (22, 30)), (2, ("", "")))]
    for _, name, *_ in rows:
        write_frames(tmp_path / f"HS_long/SMIC-HS-E/s01/{name}", [f"image{at:06}.jpg" for at in range(41)])
    header = ("Subject", "Filename", "OnsetF", "OffsetF", "Onset2F", "Offset2F", "FirstF", "LastF")
    write_sheet(tmp_path / "HS_long/any.xlsx", header, *rows)
    monkeypatch.setitem(EDITIONS, "smic_e", (KnownEdition("of two rows", 2, (1,), {}, "made up"),))
    imported = read_format("smic_e", [tmp_path])
    assert imported.edition
    assert (len(imported.clips), imported.edition.name, imported.edition.rows) == (3, "of two rows", 2)
    assert examine(imported, "smic_e").counts()[:2] == [("rows", 2, (2,)), ("clips", 3, ())]


def test_the_counts_that_were_seen_are_known() -> None:
    counts = {
        name: (published_counts(name).rows, published_counts(name).subjects) for name in FORMATS if name in EDITIONS
    }
    assert counts["casme"] == ((189, 197), (18, 19))
    assert counts["casme2"] == ((255,), (26,))
    assert counts["mmew"] == ((300,), (30, 36))
    assert (counts["smic_e"], counts["smic_e_vis"][0]) == (((157, 162), (16,)), (71,))
    assert (counts["offtanet"], counts["atn"]) == (((294,), (49,)), ((442,), (68,)))
    assert published_counts("casme2").emotions["surprise"] == (25, 28)
    assert published_counts("casme2").emotions["sadness"] == (4, 7)


@pytest.mark.parametrize("format_", EDITIONS)
def test_the_emotions_of_an_edition_add_up(format_: str) -> None:
    assert format_ in FORMATS
    for edition in EDITIONS[format_]:
        assert sum(edition.emotions.values()) in (0, edition.rows)


@pytest.mark.parametrize(("format_", "clip_list"), [("offtanet", "casmes"), ("atn", "megc2019"), ("htnet", "megc2019")])
def test_editions_of_lists_are_the_lists(format_: str, clip_list: str) -> None:
    classes = list(published(clip_list).values())
    (edition,) = EDITIONS[format_]
    assert dict(edition.emotions) == {word: classes.count(word) for word in sorted(set(classes))}
    assert edition.subjects == (len({clip_id.rpartition("/")[0] for clip_id in published(clip_list)}),)
