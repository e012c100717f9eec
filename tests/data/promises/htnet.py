"""HTNet's flow maps in each of their three forms, the crops beside them, and what is said of wrong ones."""

import csv
import shutil

import cv2
import numpy as np
from contract import Promises, Twin
from edits import changed, copied, given, gone, lines, linked, made, moved, reads_all, reads_same, refuses, written

from mer_data.composites import select
from mer_data.published.htnet import SAMPLES
from mer_data.published.megc2019 import list_order
from mer_data.synthetic import motion, read_truth
from mer_data.synthetic.htnet import APEXES, MAPS, SHEET, TREE
from promises import htnet_sheets
from promises.htnet_forms import CLIPS, CROPS, FIRST, FLAT, FOLDS, FORMS, flat, swapped, tree, unspaced, with_crops


def habits(root, imported) -> None:
    truths, datasets = read_truth(root), root / "datasets"
    assert len(select("megc2019", imported.clips, "twin").labelled) == CLIPS
    assert [clip.id for clip in imported.clips] == [clip.id for clip in sorted(imported.clips, key=list_order)]
    assert [clip.id for clip in imported.clips] == list(truths)  # by dataset, subject and clip
    maps, apexes = imported.features
    assert (maps.spec.name, maps.spec.version, maps.spec.frames) == ("flow_uvs_28", 1, "onset-apex")
    assert (maps.spec.shape, maps.spec.dtype, maps.spec.channels) == ((3, 28, 28), "uint8", ("u", "v", "strain"))
    assert "STSTNet/HTNet" in maps.spec.params["origin"]
    assert list(maps.arrays) == list(apexes.arrays) == list(truths)
    assert (apexes.spec.name, apexes.spec.frames, apexes.spec.dtype) == ("apex_28", "apex", "uint8")
    assert (apexes.spec.channels, apexes.spec.size) == (("b", "g", "r"), (28, 28))
    with (root / SHEET).open(newline="") as file:
        rows = {f"{row['dataset']}/{row['sub']}/{row['filename_o']}": row for row in csv.DictReader(file)}
    for clip_id, truth in truths.items():
        array, crop = maps.arrays[clip_id], apexes.arrays[clip_id]
        assert (array.dtype, array.flags.c_contiguous, crop.flags.c_contiguous) == (np.uint8, True, True)
        bgr = cv2.imread(str(root / FLAT / f"{truth.subject}_{truth.name} .png"))
        np.testing.assert_array_equal(array, bgr[:, :, ::-1].transpose(2, 0, 1))
        planted = motion.flow(truth.bumps, truth.drift, 56, 56)
        small = np.stack([cv2.resize(channel, (28, 28), interpolation=cv2.INTER_AREA) for channel in planted])
        for channel, expected in zip(array, small, strict=False):
            stretched = (expected - expected.min()) / np.ptp(expected) * 255
            np.testing.assert_allclose(channel, stretched, atol=1)
        picture = cv2.imread(str(datasets / APEXES / rows[clip_id]["imagename"]))
        means = picture.astype(float).reshape(28, 8, 28, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
        assert np.abs(crop - means).max() <= 0.51
    crops = [path.name for path in (datasets / APEXES).iterdir()]
    assert any(name.startswith("s") and "_s" in name and "_s0" not in name for name in crops)
    assert {(row["apex"], row["sub_filename"]) for row in rows.values()} == {("", "")}
    assert all(path.name.endswith(" .png") for path in (datasets / MAPS).iterdir())
    for held_out in (datasets / TREE).iterdir():
        labels = {path.name for path in (held_out / "u_test").iterdir()}
        assert all([*path.iterdir()] for path in (held_out / "u_test").iterdir())
        assert labels < {"0", "1", "2"}  # nobody here has all three


HTNET = Promises(
    "htnet",
    Twin(
        6,
        CLIPS,
        {"seed": 4, "size": (56, 56), "length": (10, 16)},
        clip=lambda truth: dict.fromkeys(("onset", "apex", "offset", "apex_source", "action_units")),
        channels=0,
        habits=habits,
    ),
    make=[lambda source: shutil.copytree(source.twin, source.root, dirs_exist_ok=True), gone(CROPS)],
    names=lambda root: {"sheet": root / SHEET, "samples": root / SAMPLES},
    usual=["the published set has 442 of 68"],
    remedies=True,
    cases=[
        # Three forms, one result.
        *(reads_same(f"the form {name}", form) for name, (form, _) in FORMS.items()),
        *(
            reads_same(f"names without blanks in the form {name}", FORMS[name][0], unspaced)
            for name in ("flat", "tree")
        ),
        *(
            reads_same(f"the form {form}, given {', '.join(sources) or 'it'}", FORMS[form][0], *edits, given(*sources))
            for form, sources, *edits in (
                ("flat", ("{sheet}", FLAT)),
                ("flat", (FLAT, "{sheet}")),
                ("flat", ("labels.csv", FLAT), copied("{sheet}", "labels.csv")),
                ("flat", ("datasets",), moved("{sheet}", f"datasets/{SHEET}")),
                ("flat", (f"datasets/{SHEET}",), moved("{sheet}", f"datasets/{SHEET}")),
                ("tree", (FOLDS,)),
                ("tree", ("datasets",)),
                ("samples", (SAMPLES,)),
                ("samples", (SAMPLES, "{root}")),
            )
        ),
        *(
            reads_same(
                f"HTNet's {source} with other things",
                written("datasets/another/sub01_EP02_01f.jpg", b"a face"),
                written("datasets/cas(me)3_part_A_edited.csv", b"Subject,Filename\n"),
                written(f"{FLAT}/Thumbs.db", b"\0"),
                written(f"{FLAT}/._{FIRST}", b"\0"),
                written(f"{FOLDS}/.DS_Store", b"\0"),
                written("figure.png", b"not a map"),
                *edits,
                given(source),
            )
            for source, *edits in (("{root}",), ("datasets",), ("{root}", gone(FLAT)), ("{root}", gone(FOLDS)))
        ),
        *(
            reads_same(
                f"blank rows, ends {newline!r} and a mark {mark!r}",
                flat,
                lambda source, newline=newline, mark=mark: source.path("{sheet}").write_bytes(
                    (
                        mark
                        + newline.join(
                            f"{line}{newline},,," for line in source.path("{sheet}").read_text().splitlines()
                        )
                        + newline * 2
                    ).encode()
                ),
            )
            for newline in ("\n", "\r\n")
            for mark in ("", "\ufeff")
        ),
        reads_same("rows in another order", flat, lines("{sheet}", lambda rows: [rows[0], *rows[:0:-1]])),
        reads_same("subjects without zeros", flat, changed("{sheet}", ("samm,00", "samm,"), ("samm,0", "samm,"))),
        reads_all(
            "channels in another order",
            flat,
            swapped,
            gives=[{}] * CLIPS,
            notes=["channels seem to be in another order"],
        ),
        *htnet_sheets.CASES,
        # What is wrong with folds.
        refuses(
            "a label that folds disagree on",
            tree,
            moved(f"{FOLDS}/s03/u_train/0/{FIRST}", f"{FOLDS}/s03/u_train/1/{FIRST}"),
            says=[(f"{{root}}/{FOLDS}: clip casme2/sub12/EP01_02 has several labels", "1 in s03/u_train")],
        ),
        refuses(
            "two labels in one half",
            tree,
            copied(f"{FOLDS}/s03/u_train/0/{FIRST}", f"{FOLDS}/s03/u_train/1/{FIRST}"),
            says=[f"{{root}}/{FOLDS}/s03/u_train: clip casme2/sub12/EP01_02 is in the folders", ...],
        ),
        refuses(
            "a clip that training lacks",
            tree,
            gone(f"{FOLDS}/s03/u_train/0/{FIRST}"),
            says=f"{{root}}/{FOLDS}/s03: u_train and u_test lack 1 of the tree's clips: casme2/sub12/EP01_02",
        ),
        refuses(
            "a clip that no fold tests",
            tree,
            gone(f"{FOLDS}/sub12/u_test/0/{FIRST}"),
            says="clip casme2/sub12/EP01_02 is in no u_test of its subject",
        ),
        refuses(
            "training with the held-out subject",
            tree,
            copied(f"{FOLDS}/sub12/u_test/0/{FIRST}", f"{FOLDS}/sub12/u_train/0/{FIRST}"),
            says=f"{{root}}/{FOLDS}/sub12/u_train: holds clips of the held-out subject casme2/sub12",
        ),
        refuses(
            "a test with another subject",
            tree,
            moved(f"{FOLDS}/s03/u_train/0/{FIRST}", f"{FOLDS}/s03/u_test/0/{FIRST}"),
            says=f"{{root}}/{FOLDS}/s03/u_test: holds clips of other subjects than smic/s03: casme2/sub12/EP01_02",
        ),
        refuses(
            "a subject without a fold", tree, gone(f"{FOLDS}/s03"), says=[("smic/s03/s03_", "is in no u_test")] * 2
        ),
        refuses(
            "a fold without training",
            tree,
            gone(f"{FOLDS}/s03/u_train"),
            says=[f"{{root}}/{FOLDS}/s03: u_train and u_test lack"],
        ),
        refuses(
            "a fold without a test",
            tree,
            gone(f"{FOLDS}/s03/u_test"),
            says=[f"{{root}}/{FOLDS}/s03/u_test: holds no PNG", ...],
        ),
        refuses(
            "folders that mean nothing",
            tree,
            moved(f"{FOLDS}/s03/u_train/0/{FIRST}", f"{FOLDS}/s03/u_train/3/{FIRST}"),
            moved(f"{FOLDS}/s03/u_train/2/sub12_EP02_05 .png", f"{FOLDS}/s03/u_train/sub12_EP02_05 .png"),
            made(f"{FOLDS}/person/u_test", f"{FOLDS}/6"),
            says=[
                "second folder of samm/006",
                "folder 'person' is not a subject",
                "folder '3' is not a label",
                "'sub12_EP02_05 .png' has no label",
                ...,
            ],
        ),
        # The crops beside the maps.
        reads_all("no crops", gives=[{"features": ["flow_uvs_28"], "source": "{sheet}"}] * CLIPS),
        reads_all("crops", with_crops, gives=[{"features": ["apex_28", "flow_uvs_28"]}] * CLIPS),
        reads_all(
            "missing crops are counted and none is imported",
            with_crops,
            gone(f"{CROPS}/006_006_1_2.jpg", f"{CROPS}/006_006_1_3.jpg"),
            written(f"{CROPS}/Thumbs.db", b""),
            written(f"{CROPS}/figure.jpg", b""),
            gives=[{"features": ["flow_uvs_28"]}] * CLIPS,
            notes=[f"2 of {CLIPS} clips have no picture of the apex, so none was imported: samm/"],
        ),
        refuses(
            "damaged crops",
            with_crops,
            lambda source: source.path(f"{CROPS}/006_006_1_2.jpg").write_bytes(
                source.path(f"{CROPS}/006_006_1_2.jpg").read_bytes()[:-200]
            ),
            written(f"{CROPS}/006_006_1_3.jpg", b""),
            written(f"{CROPS}/011_011_1_4.jpg", bytes(cv2.imencode(".jpg", np.zeros((28, 28, 3), np.uint8))[1])),
            says=["is not a whole JPEG file", "is not a whole JPEG file", "is 28x28; 224x224 is expected"],
        ),
        refuses(
            "two crops of one clip",
            with_crops,
            copied(f"{CROPS}/s03_s3_ne_01.jpg", f"{CROPS}/s03_s03_ne_01.jpg"),
            says="are both clip smic/",
        ),
        refuses("a link for a crop", with_crops, linked(f"{CROPS}/006_006_1_2.jpg"), says="leads out of this folder"),
    ],
)
