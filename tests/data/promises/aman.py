"""AMAN's trees of maps and magnified frames, and what is said of wrong ones."""

import io

import cv2
import numpy as np
from contract import Edit, Promises, Source, Twin
from edits import given, gone, linked, made, moved, reads_all, reads_same, refuses, written

from mer_data.composites import published
from mer_data.synthetic import read_truth

MAP = (256, 14, 14)
LONG, SHORT = "maps/sub01/EP02_01f1", "maps/sub01/EP03_020"
FIRST, IMAGES = f"{SHORT}/img1/feature512.npy", "images/sub01/EP03_02"
GOOD = np.ones((2, *MAP), np.float32)
WITH_NAN = GOOD.copy()
WITH_NAN[1, 200, 3, 4] = np.nan
NO_TREE = "feature512.npy"


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def headed(header: str) -> bytes:
    """A NumPy file with a header as it is given, and a little behind it."""
    return b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header.encode() + bytes(1000)


def jpeg(level: int, size: tuple[int, int] = (16, 24)) -> bytes:
    return cv2.imencode(".jpg", np.full((*size, 3), level, np.uint8))[1].tobytes()


def numbered(source: Source) -> None:
    """Two clips whose values tell frame and factor: 12 frames from 8 to 19, and 3 frames."""
    for name, frames in (("EP02_01f1", range(8, 20)), ("EP03_020", (1, 2, 10))):
        for frame in frames:
            written(f"maps/sub01/{name}/img{frame}/feature512.npy", npy(np.full((2, *MAP), frame, np.float32)))(source)
            for factor, spelled in ((2, "2.0"), (4, "4"), (10, "10.06")):
                written(f"images/sub01/{name[:-1]}/img{frame}/{spelled}.jpg", jpeg(frame * 10 + factor))(source)


def habits(root, imported) -> None:
    assert set(read_truth(root)) <= set(published("megc2019"))
    maps, images = imported.features
    assert (maps.spec.name, maps.spec.shape, maps.spec.dtype) == ("aman_maps", (2, 2, *MAP), "float16")
    assert (images.spec.name, images.spec.shape, images.spec.dtype) == ("magnified", (2, 2, 40, 32, 3), "uint8")
    for clip in imported.clips:
        (folder,) = (root / "features").glob(f"*/{clip.name}?")
        last = max(folder.iterdir(), key=lambda path: int(path.name))
        stored = np.load(last / "feature512.npy").astype(np.float16)
        np.testing.assert_array_equal(maps.arrays[clip.id][-1], stored)
        image = cv2.imread(str(next((root / "images").glob(f"*/{clip.name}/{last.name}/12.0.jpg"))))
        np.testing.assert_array_equal(images.arrays[clip.id][-1, -1], image)


def wrong(name: str, *edits: Edit, says: str, sure: bool = True):
    """What is wrong with a tree; if it is not alone, the message stands somewhere."""
    return refuses(name, *edits, says=[says] if sure else [says, ...])


AMAN = Promises(
    "aman",
    Twin(
        3,
        6,
        {"seed": 4, "frames": 2, "size": (32, 40), "length": (10, 16)},
        clip=lambda truth: dict.fromkeys(("onset", "apex", "offset", "apex_source", "action_units")),
        channels=0,
        habits=habits,
    ),
    make=[numbered],
    cases=[
        reads_all(
            "labels are words",
            gives=[
                {"id": "casme2/sub01/EP02_01f", "emotion": "positive", "features": ["aman_maps", "magnified"]},
                {"id": "casme2/sub01/EP03_02", "emotion": "negative"},
            ],
            notes=["labels are the last characters", "3 to 12 frames; 3 of each"],
        ),
        reads_all(
            "labels above two are classes without words",
            moved(SHORT, "maps/sub01/EP03_024"),
            gives=[{"emotion": "class-1"}, {"emotion": "class-4"}],
            notes=["4 is class-4", "3 to 12 frames"],
        ),
        reads_all("maps alone", given("maps"), gives=[{"features": ["aman_maps"]}] * 2, notes=None),
        reads_same("both trees apart", given("images", "maps")),
        reads_same(
            "labels in the images' folders and other names of maps",
            moved(IMAGES, "images/sub01/EP03_020"),
            moved(FIRST, f"{SHORT}/img1/x.npy"),
        ),
        *(
            refuses(f"sources {number}", made("{outside}/empty"), given(*sources), says=NO_TREE)
            for number, sources in enumerate(
                (
                    (),
                    ("{outside}/empty",),
                    ("images",),
                    ("maps", "maps"),
                    ("maps", "images", "images"),
                    (FIRST,),
                )
            )
        ),
        *(
            refuses(f"file {number} of maps: {said}", written(FIRST, data), says=[(f"{{root}}/{FIRST}", said)])
            for number, (said, data) in enumerate(
                [
                    ("is damaged", npy(GOOD)[:5000]),
                    ("is damaged", npy(GOOD)[:20]),
                    ("is not a NumPy array file", b""),
                    ("pickled objects are not read", np.float64(1).dumps()),
                    ("objects", npy(np.array([{"a": 1}], object))),
                    ("is damaged", npy(GOOD).replace(b"'shape'", b"'((((((")),
                    ("holds int32 [2, 256, 14, 14]", npy(GOOD.astype(np.int32))),
                    ("holds float32 [2, 128, 14, 14]", npy(GOOD[:, :128])),
                    ("holds float32 [256, 14, 14]", npy(GOOD[0])),
                    ("holds float32 [0, 256, 14, 14]", npy(GOOD[:0])),
                    ("has 1 factors; most others have 2 factors", npy(GOOD[:1])),
                    ("not finite or above 65504", npy(WITH_NAN)),
                    ("not finite or above 65504", npy(GOOD * 7e4)),
                ]
            )
        ),
        wrong("no label", moved(SHORT, "maps/sub01/EP03_02x"), says="label digit", sure=False),
        wrong("a blank", moved(SHORT, "maps/sub01/EP03 020"), says="label digit", sure=False),
        wrong("a clip twice", made("maps/sub1/EP03_021"), says="a second folder", sure=False),
        wrong("nobody", made("maps/someone"), says="is not a subject's folder"),
        wrong("no frames", made("maps/sub01/EP09_010"), says="no folders of frames", sure=False),
        wrong("no number", made(f"{SHORT}/last"), says="has no frame number"),
        wrong("a frame twice", made(f"{SHORT}/010"), says="are both frame 10", sure=False),
        wrong("no maps", made(f"{SHORT}/11"), says="holds 0 .npy files", sure=False),
        *(
            wrong(f"a header {name}", written(FIRST, headed(text)), says="is damaged, or holds objects: its header")
            for name, text in {
                "of a terabyte": "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 256, 14, 1400000000)}",
                "that is long": "{'descr': '<f4', 'fortran_order': False, 'shape': (" + 20_000 * "1," + ")}",
                "of objects": "{'descr': '|O', 'fortran_order': False, 'shape': (2, 256, 14, 14)}",
                "that is deep": 5000 * "(",
            }.items()
        ),
        wrong("no images", gone(IMAGES), says="missing for 1 of 2 clips: casme2/sub01/EP03_02"),
        wrong("no image", gone(f"{IMAGES}/img1/4.jpg"), says="has the factors 2.0, 10.06"),
        wrong("a factor twice", written(f"{IMAGES}/img1/4.0.jpg", jpeg(9)), says="are one factor"),
        wrong("no factor", written(f"{IMAGES}/img1/onset.jpg", jpeg(9)), says="is not named after a factor"),
        wrong("no factors", made(f"{IMAGES}/img11"), says="no images named after factors", sure=False),
        wrong("another size", written(f"{IMAGES}/img1/4.jpg", jpeg(9, (8, 8))), says="is 8x8; 24x16 is expected"),
        wrong("no JPEG", written(f"{IMAGES}/img1/4.jpg", b"\xff\xd8\xff"), says="not a whole JPEG"),
        *(
            refuses(f"a link for {path}", linked(path), given("maps"), says=["link that leads out", ...])
            for path in ("maps/sub01", SHORT, f"{SHORT}/img1", FIRST)
        ),
        refuses(
            "all that is wrong together",
            written(FIRST, npy(GOOD)[:300]),
            written(f"{SHORT}/img2/feature512.npy", npy(WITH_NAN)),
            written(f"{IMAGES}/img1/2.0.jpg", b""),
            gone(f"{IMAGES}/img10/4.jpg"),
            made("maps/x"),
            says=["not a subject's", "is damaged", "has the factors 2.0, 10.06;", "not finite", "not a whole JPEG"],
        ),
    ],
)
