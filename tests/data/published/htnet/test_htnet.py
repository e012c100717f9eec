"""Importing published flow maps: three forms, one result."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from htnet_forms import (
    FLAT,
    FORMS,
    SHEET,
    TREE,
    TWINS,
    Twin,
    assert_same,
    encode,
    make_twins,
    sheet_text,
    write_flat,
    write_samples,
    write_tree,
)
from PIL import Image

from mer_data import formats, schema
from mer_data.published import htnet
from mer_data.storage.store import Store

DOZEN = make_twins(subjects=4)


def test_clips_are_qualified_labelled_by_name_and_in_the_promised_order(form: Path) -> None:
    imported = htnet.read([form])
    assert [clip.id for clip in imported.clips] == [twin.id for twin in TWINS]
    assert [clip.emotion for clip in imported.clips] == [twin.emotion for twin in TWINS]
    for clip, twin in zip(imported.clips, TWINS, strict=True):
        assert (clip.dataset, clip.subject) == (twin.dataset, f"{twin.dataset}/{twin.subject}")
        assert (clip.onset, clip.apex, clip.apex_source, clip.frames) == (None, None, None, None)
    assert imported.frame_root is None
    assert schema.find_problems(imported.clips, "form") == []


def test_arrays_are_red_green_blue_of_the_file(form: Path) -> None:
    (feature,) = htnet.read([form]).features
    assert feature.spec.channels == ("u", "v", "strain")
    assert list(feature.arrays) == [twin.id for twin in TWINS]
    for twin in TWINS:
        rgb = np.asarray(Image.open(io.BytesIO(twin.png)).convert("RGB"))
        array = feature.arrays[twin.id]
        assert array.dtype == np.uint8
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, rgb.transpose(2, 0, 1))


def test_the_spec_is_that_of_an_imported_flow_uvs_28(form: Path) -> None:
    spec = htnet.read([form]).features[0].spec
    assert (spec.name, spec.version, spec.frames) == ("flow_uvs_28", 1, "onset-apex")
    assert (spec.shape, spec.dtype) == ((3, 28, 28), "uint8")
    assert "STSTNet/HTNet" in spec.params["origin"]
    with pytest.raises(NotImplementedError, match="imported"):
        spec.compute([])


def test_the_three_forms_give_the_same(tmp_path: Path) -> None:
    one, *others = [tmp_path / name for name in FORMS]
    for name, write in FORMS.items():
        write(tmp_path / name, DOZEN)
    assert [clip.id for clip in htnet.read([one]).clips] == [twin.id for twin in DOZEN]
    for other in others:
        assert_same(htnet.read([one]), htnet.read([other]))


@pytest.mark.parametrize("space", ["", " "])
def test_the_space_before_the_extension_may_be_there_or_not(tmp_path: Path, space: str) -> None:
    folder, sheet = write_flat(tmp_path / "a", TWINS, space)
    write_tree(tmp_path / "b", TWINS, space=space)
    assert_same(htnet.read([folder, sheet]), htnet.read([tmp_path / "b"]))


def test_sources_may_be_given_in_any_order_or_as_one_root(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path / "a", TWINS)
    tree = write_tree(tmp_path / "b", TWINS)
    samples = write_samples(tmp_path / "c", TWINS)
    named_otherwise = tmp_path / "labels.csv"
    shutil.copy(sheet, named_otherwise)
    expected = htnet.read([folder, sheet])
    for sources in (
        [sheet, folder],
        [named_otherwise, folder],
        [folder.parent],
        [sheet],
        [tree],
        [tree.parent],
        [samples],
        [samples / "samples.csv"],
        [samples / "samples.csv", samples],
    ):
        assert_same(expected, htnet.read(sources))


def test_the_roots_of_htnet_may_hold_other_things(tmp_path: Path) -> None:
    write_flat(tmp_path / "datasets", TWINS)
    write_tree(tmp_path / "datasets", TWINS)
    (tmp_path / "datasets" / "combined_datasets_whole").mkdir()
    (tmp_path / "datasets" / "combined_datasets_whole" / "sub01_EP02_01f.jpg").write_bytes(b"a face")
    (tmp_path / "datasets" / "cas(me)3_part_A_edited.csv").write_text("Subject,Filename\n")
    (tmp_path / "datasets" / FLAT / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "datasets" / FLAT / "._sub01_EP02_01f .png").write_bytes(b"\0")
    (tmp_path / "datasets" / TREE / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "figure.png").write_bytes(b"not a map")
    expected = htnet.read([tmp_path / "datasets"])
    assert expected.source.name == SHEET
    # In the repository itself the sheet lies beside `datasets`.
    (tmp_path / "datasets" / SHEET).rename(tmp_path / SHEET)
    assert_same(expected, htnet.read([tmp_path]))
    assert_same(expected, htnet.read([tmp_path / "datasets"]))
    shutil.rmtree(tmp_path / "datasets" / FLAT)
    assert_same(expected, htnet.read([tmp_path]))


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blank_rows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, newline: str, bom: str) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    expected = htnet.read([tmp_path])
    text = bom + newline.join(line + newline + ",,," for line in sheet_text(TWINS).splitlines()) + newline * 2
    sheet.write_bytes(text.encode())
    assert_same(expected, htnet.read([folder, sheet]))


def test_samm_subjects_are_padded_in_the_flat_form_too(tmp_path: Path) -> None:
    folder, sheet = write_flat(tmp_path, TWINS)
    expected = htnet.read([tmp_path])
    sheet.write_text(sheet.read_text().replace("samm,00", "samm,"))
    assert "samm,6,006_1_2" in sheet.read_text()
    assert_same(expected, htnet.read([folder, sheet]))


def test_the_tree_may_lack_label_folders(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, TWINS)
    assert any(len(list(half.iterdir())) < 3 for half in tree.glob("*/u_test"))
    assert len(htnet.read([tree]).clips) == len(TWINS)


def test_swapped_channels_are_noted(tmp_path: Path) -> None:
    def swapped(twin: Twin) -> Twin:
        rgb = np.asarray(Image.open(io.BytesIO(twin.png))).transpose(2, 0, 1)
        return Twin(twin.dataset, twin.subject, twin.clip, twin.emotion, encode(rgb[::-1]))

    write_flat(tmp_path / "right", TWINS)
    write_flat(tmp_path / "wrong", [swapped(twin) for twin in TWINS])
    right, wrong = htnet.read([tmp_path / "right"]), htnet.read([tmp_path / "wrong"])
    assert not any("channels" in note for note in right.notes)
    assert any("channels seem to be in another order" in note for note in wrong.notes)


def test_a_set_of_another_size_than_published_is_noted(form: Path) -> None:
    assert any("442" in note for note in htnet.read([form]).notes)


def test_round_trip_through_a_store(form: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    imported = formats.import_dataset("htnet", [form], store, "twins")
    assert store.names() == ["twins"]
    assert store.dataset("twins").clips == imported.clips
    assert store.dataset("twins").format == "htnet"
    assert store.dataset("twins").frame_root is None
    feature = store.feature("twins", "flow_uvs_28")
    assert feature.channels == ("u", "v", "strain")
    assert feature.source.startswith("imported")
    ids = [clip.id for clip in reversed(imported.clips)]
    expected = np.stack([imported.features[0].arrays[clip_id] for clip_id in ids])
    np.testing.assert_array_equal(feature.gather(ids), expected)
