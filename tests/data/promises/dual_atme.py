"""Dual-ATME's lists and pictures: foreign paths, one fold per subject, and what is said of wrong ones."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from contract import Edit, Promises, Source, Twin
from edits import (
    appended,
    changed,
    copied,
    each_changed,
    given,
    gone,
    lines,
    linked,
    made,
    moved,
    reads_same,
    refuses,
    written,
)

from mer_data.composites import select
from mer_data.synthetic import dual_atme, read_truth
from mer_data.synthetic.dual_atme import HOME, LISTS, picture_path

EVERY = f"{LISTS}/*_t*.txt"
NO_LISTS = "one folder with subName.txt in it"


def pictures(root: Path, kind: str) -> list[Path]:
    return sorted(root.rglob(f"*_{kind}.png"))


def names(root: Path) -> Mapping[str, object]:
    """The first two subjects, the first one's lists, and its first line in parts."""
    lists = root / LISTS
    subject, other = (lists / "subName.txt").read_text().split()[:2]
    line = (lists / f"{subject}_test.txt").read_text().splitlines()[0]
    path, label, code = line.rsplit(maxsplit=2)
    found = {"lists": lists, "subject": subject, "test": lists / f"{subject}_test.txt", "line": line, "path": path}
    found |= {"train": lists / f"{subject}_train.txt", "other": lists / f"{other}_test.txt", "code": code}
    found |= {"label": label, "wrong": str((int(label) + 1) % 3)}
    count = len(found["test"].read_text().splitlines())
    found["next"] = [f"{found['test']}, line {number}: " for number in range(count + 1, count + 9)]
    return found | {"flow": pictures(root, "flow"), "flow_puzzle": pictures(root, "flow_puzzle")}


def png(height: int, width: int, dtype: type = np.uint8) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((height, width, 3), dtype))[1])


def elsewhere(home: str) -> list[Edit]:
    """The lists are of another computer."""
    edits = [each_changed(EVERY, (HOME, home))]
    edits += [each_changed(EVERY, ("/", "\\"))] if "\\" in home else []
    return [*edits, each_changed(EVERY, ("\n", "\r\n")), appended("{lists}/subName.txt", "", "")]


def unpadded(source: Source) -> None:
    """SMIC's clips are spelled without the zero."""
    for kind in ("flow", "flow_puzzle"):
        for path in [*(source.root / "data/MEGC2019/smic" / kind).iterdir()]:
            path.rename(path.with_name(path.name.replace("_s0", "_s")))
    each_changed(EVERY, ("_s0", "_s"))(source)


def cut(path: str) -> Edit:
    return lambda source: source.path(path).write_bytes(source.path(path).read_bytes()[:-20])


def habits(root, imported) -> None:
    assert {clip.dataset for clip in imported.clips} == {"casme2", "smic", "samm"}
    assert len(select("megc2019", imported.clips, "twin").labelled) == len(imported.clips)
    truths, first = read_truth(root), names(root)
    assert [feature.spec.name for feature in imported.features] == ["flow_picture_28", "flow_puzzle_28"]
    for feature, kind in zip(imported.features, ("flow", "flow_puzzle"), strict=True):
        assert (feature.spec.channels, feature.spec.size) == (("r", "g", "b"), (28, 28))
        assert list(feature.arrays) == [clip.id for clip in imported.clips]
        for clip_id, array in feature.arrays.items():
            bgr = cv2.imread(str(root / picture_path(truths[clip_id], kind)))
            np.testing.assert_array_equal(array, bgr[:, :, ::-1].transpose(2, 0, 1))
    whole, puzzle = (feature.arrays for feature in imported.features)
    assert all(not np.array_equal(whole[clip_id], puzzle[clip_id]) for clip_id in whole)
    assert first["line"].startswith("/home/somebody/")
    assert not Path(first["path"]).exists()
    truth = next(truth for truth in truths.values() if truth.subject == first["subject"])
    assert f"/{truth.subject}_{truth.name}_img{truth.apex}-img{truth.onset}_flow.png " in first["test"].read_text()
    samm = next(truth for truth in truths.values() if truth.dataset == "samm")
    assert f"_{samm.subject}_{samm.apex:05}-{samm.subject}_" in picture_path(samm, "flow")
    assert dual_atme.EXCHANGED == {"samm/006/006_5_9": "negative", "samm/006/006_5_11": "surprise"}


DUAL_ATME = Promises(
    "dual_atme",
    Twin(
        4,
        9,
        {"seed": 2, "size": (56, 56), "length": (10, 16)},
        clip=lambda truth: {
            "offset": None,
            "action_units": None,
            "apex_source": "spotted" if truth.dataset == "smic" else "annotated",
        },
        channels=0,
        habits=habits,
    ),
    names=names,
    remedies=True,
    cases=[
        *(
            reads_same(f"the home {home}", *elsewhere(home))
            for home in ("C:\\Users\\me\\Dual ATME", "/home/ann/my flow_data/x", "relative", "/a b/c d/Dual-ATME")
        ),
        *(
            reads_same(f"lists apart from {place}, {order} first", moved(LISTS, "{outside}/l"), given(*sources[::step]))
            for place in ("{root}", "data", "data/MEGC2019")
            for sources in (("{outside}/l", place),)
            for order, step in (("lists", 1), ("pictures", -1))
        ),
        reads_same("the third column is not trusted", each_changed(EVERY, *((f" {n}\n", " 7\n") for n in range(3)))),
        reads_same("both spellings of SMIC", unpadded),
        refuses(
            "a clip that is tested twice",
            appended("{other}", "{line}"),
            says="{other}: holds clips of other subjects than",
        ),
        refuses(
            "a clip of the held-out subject in training",
            appended("{train}", "{line}"),
            says="{train}: holds clips of the held-out subject casme2/{subject}",
        ),
        refuses(
            "a clip that is never tested",
            lines("{test}", lambda lines: lines[1:]),
            says="is in no test list of its subject",
        ),
        refuses(
            "a clip that a fold lacks",
            lines("{train}", lambda lines: lines[1:]),
            says="{subject}_train.txt and {subject}_test.txt lack 1 of the lists' clips",
        ),
        refuses(
            "a label that folds disagree on",
            changed("{test}", ("{line}", "{path} {wrong} {code}")),
            says="has several labels",
        ),
        refuses(
            "an apex that folds disagree on",
            lambda source: changed(
                str(
                    next(p for p in (source.root / LISTS).glob("*_train.txt") if source.text("{line}") in p.read_text())
                ),
                ("{line}", source.text("{line}").replace("-img", "1-img")),
            )(source),
            says="has several pictures",
        ),
        refuses(
            "all that is wrong together",
            lambda source: appended(
                "{test}",
                "{line}",
                "one two",
                *(
                    source.text("{line}").replace(*words)
                    for words in (
                        ("_flow.png", ".png"),
                        ("/flow/", "/flows/"),
                        ("casme2/flow", "samm/flow"),
                        (source.text(" {label} {code}"), " 3 0"),
                        ("-img", "-reg_img"),
                        ("-img", "-"),
                    )
                ),
            )(source),
            says=[
                (f"{{next[{number}]}}", words)
                for number, words in enumerate(
                    (
                        "is in this list already",
                        "is not PATH LABEL DATABASE",
                        "names no clip, apex and onset",
                        "is not in a folder 'flow'",
                        "is in samm, but its subject is spelled as in casme2",
                        "'3' is not a label",
                        "in different ways",
                        "in different ways",
                    )
                )
            ],
        ),
        refuses(
            "subjects that cannot be",
            appended("{lists}/subName.txt", "{subject}", "fold1", "sub99"),
            written("{lists}/s19_test.txt", b""),
            says=[
                "line 5: subject casme2/",
                "line 6: 'fold1' is not a subject",
                "s19_test.txt: subject 's19' has no line",
                "sub99_train.txt: no such file",
                "sub99_test.txt: no such file",
                "sub99_test.txt: holds no PNG",
                "sub99_train.txt and sub99_test.txt lack 9 of the lists' clips",
            ],
        ),
        refuses(
            "pictures that are missing",
            gone("{flow[0]}", "{flow_puzzle[8]}"),
            says=[
                ("{test}, line ", "{flow[0].name}"),
                "{flow_puzzle[8].name}: no file in {root} has this path or an end of it",
            ],
        ),
        refuses(
            "a picture that fits twice",
            copied("{flow[0]}", "{flow[0].name}"),
            says="may be any of data/MEGC2019/casme2/flow/{flow[0].name}, {flow[0].name} in {root}",
        ),
        refuses("a link for a picture", linked("{flow[0]}"), says="leads out of this folder"),
        refuses("a way out", each_changed(EVERY, (HOME, f"{HOME}/..")), says=["has a '..' in it", ...]),
        refuses("a link for a list", linked("{test}"), says=["leads out of this folder", ...]),
        *(
            refuses(
                f"pictures of another kind: {kind}",
                cut(f"{{{kind}[0]}}"),
                *(
                    written(f"{{{kind}[{number}]}}", data)
                    for number, data in ((1, png(28, 20)), (2, png(28, 28, np.uint16)), (3, b""))
                ),
                says=[
                    "is not a whole PNG file",
                    "is 20x28, 8 bit, RGB; a flow picture is square",
                    "16 bit",
                    "is not a whole PNG",
                ],
            )
            for kind in ("flow", "flow_puzzle")
        ),
        refuses(
            "pictures of several sizes",
            written("{flow[0]}", png(30, 30)),
            says=[("the pictures of flow_picture differ in size: 28x28 of", "; 30x30 of casme2/")],
        ),
        refuses("no source", given(), says=NO_LISTS),
        refuses("no lists", made("{outside}/empty"), given("{outside}/empty"), says=NO_LISTS),
        refuses("lists twice", given("{root}", "{lists}"), says=NO_LISTS),
        refuses("three sources", given("{root}", "{outside}", "{outside}"), says=NO_LISTS),
        refuses("a list that is no text", written("{test}", b"\xff\xfe\x00"), says=["{test}: cannot be read", ...]),
        refuses("a list with NUL", written("{test}", b"a\0b 1 2"), says=["{test}: holds NUL characters", ...]),
    ],
)
