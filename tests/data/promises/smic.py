"""SMIC's three cameras: every quirk of the real folders, and what is said of wrong ones."""

from pathlib import Path

from contract import Promises, Twin
from edits import frames, given, gone, linked, made, moved, reads, reads_all, refuses, spotted, written

from mer_data.synthetic import read_truth

NUMBERS = (1, 76_533, 559_740, 1_038_189, 17_581_039, 999_995)  # the last gains a digit within a clip
STEM, RAW = "reg_image{:06}.bmp", "image{:06}.bmp"
SUBJECTS = ["s01", "s02", "s03", "s04", "s05", "s06", "s08"]


def habits(root, imported) -> None:
    folders = {Path(clip.frames).name for clip in imported.clips}
    assert ("s1_ne_01" in folders) == (imported.clips[0].dataset == "smic")
    assert next(root.rglob("Thumbs.db"))
    stems = [path.stem.removeprefix("reg_image") for path in root.rglob("*.bmp")]
    if imported.clips[0].dataset == "smic":
        assert {len(stem) for stem in stems} == {6, 7, 8}
        assert any(stem.startswith("0") for stem in stems)
        assert sorted({truth.subject for truth in read_truth(root).values()}) == SUBJECTS


def camera(format_: str, folder: str, fps: float, twin: Twin) -> Promises:
    """What one camera's format promises; nothing but names and the frame rate differ."""
    tree = f"SMIC_all_cropped/{folder}"
    negative, clip = f"{tree}/s1/micro/negative", f"{tree}/s1/micro/negative/s1_ne_01"
    other = {"HS": "VIS", "VIS": "NIR", "NIR": "HS"}[folder]
    good = {
        "id": f"{format_}/s01/s01_ne_01",
        "emotion": "negative",
        "onset": 76533,
        "apex": 76543,
        "offset": 76553,
        "apex_source": "midpoint",
        "action_units": None,
        "fps": fps,
        "frames": "s1/micro/negative/s1_ne_01",
        "frame_root": f"{{root}}/{tree}",
        "source": f"{{root}}/{tree}",
    }
    # fmt: off
    return Promises(
        format_,
        twin,
        "SMIC",
        make=[frames(clip, range(76533, 76554), STEM)],
        usual=["no apex is annotated; the middle frame is used for all 1 clips"],
        cases=[
            reads("as it is", **good),
            reads("a spotted apex", spotted(), apex_source="spotted", notes=["the frame of most motion is used"]),
            *(
                reads(f"frame numbers from {first}", gone(clip), frames(clip, range(first, first + 11), STEM),
                    onset=first, apex=first + 5, offset=first + 10) for first in NUMBERS),
            *(
                reads(f"{prefix} in {subject}", gone(tree),
                    frames(f"{tree}/{subject}/micro/surprise/{prefix}_sur_02", range(100, 120), STEM),
                    id=f"{format_}/s01/s01_sur_02", emotion="surprise") for subject in ("s1", "s01", "S1")
                for prefix in ("s1", "s01")),
            reads("non_micro is left out and counted", frames(f"{tree}/s1/non_micro/s1_non_micro_01", range(5), STEM),
                frames(f"{tree}/s7/non_micro/s7_non_micro_01", range(5), STEM), name="s01_ne_01",
                notes=["2 folders non_micro, without micro-expressions, are left out"]),
            reads("numbers that are missing",
                gone(*(f"{clip}/reg_image{number:06}.bmp" for number in (76540, 76543))), apex=76542,
                notes=[f"{{root}}/{clip}: 2 of 21 frames between onset and offset are missing",
                    f"{{root}}/{clip}: the middle frame 76543 is missing on disk; frame 76542 is used"]),
            reads("every third number", gone(clip), frames(clip, range(76533, 76564, 3), STEM), apex=76548,
                offset=76563),
            *(
                reads(f"the tree {top}, given {source}", gone("SMIC_all_cropped"),
                    frames(f"{top}/s1/micro/negative/s1_ne_01", range(5), RAW), given(source.format(top=top)),
                    frame_root=f"{{root}}/{top}".removesuffix("/."), notes=notes)
                for top in (f"SMIC_all_cropped/{folder}", "SMIC_all_cropped",
                    f"SMIC_all_cropped/SMIC_all_cropped/{folder}", f"SMIC_all_raw/{folder}/{folder}", folder, ".")
                for source,
                notes in (
                    ("{{root}}",
                        ["whole frames"] * ("raw" in top) + ["taken for that camera's"] * (folder not in top)),
                    ("{top}", None))),
            reads("crops are preferred", frames(f"SMIC_all_raw/{folder}/s2/micro/positive/s2_po_01", range(5), STEM),
                frame_root=f"{{root}}/{tree}"),
            reads("missing ones are taken from the raw tree",
                frames(f"SMIC_all_raw/{folder}/s2/micro/positive/s2_po_01", range(5), STEM),
                moved(tree, f"SMIC_all_cropped/{other}"), frame_root=f"{{root}}/SMIC_all_raw/{folder}",
                notes=["whole frames"]),
            reads_all("each format picks its own camera",
                frames(f"SMIC_all_cropped/{other}/s11/micro/positive/s11_po_01", range(5), STEM), gives=[good]),
            refuses("another camera's folder", moved(tree, f"SMIC_all_cropped/{other}"),
                given(f"SMIC_all_cropped/{other}"),
                says=[(f"{other}: is the folder of camera {other}, not {folder} ", "import this one as smic")]),
            refuses("no folder of this camera", moved(tree, f"SMIC_all_cropped/{other}"),
                says=f"no folder of SMIC's camera {folder}"),
            refuses("all that is wrong together", frames(f"{tree}/s1/micro/suprise/s1_sur_01", range(5), STEM),
                frames(f"{tree}/s1/micro/positive/s1_ne_02", range(5), STEM),
                frames(f"{negative}/s2_ne_03", range(5), STEM), frames(f"{negative}/s01_ne_01", range(5), STEM),
                made(f"{negative}/s1_ne_04"), frames(f"{negative}/s1_ne_05", [7], STEM),
                frames(f"{negative}/s1_ne_06", [1, 2, 3, 100], STEM), frames(f"{negative}/s1_ne_07", [0], "image.bmp"),
                frames(f"{negative}/s1_ne_08", range(5), STEM), frames(f"{negative}/s1_ne_08", [3], "image{:05}.bmp"),
                made(f"{tree}/s2"),
                says=[f"{{root}}/{negative}/s1_ne_01: is clip s01_ne_01, as s01_ne_01 is",
                    f"{{root}}/{negative}/s1_ne_04: no frames in this folder",
                    f"{{root}}/{negative}/s1_ne_05: only one frame in this folder",
                    f"{{root}}/{negative}/s1_ne_06: 96 frames are missing between 1 and 100, more than there are",
                    f"{{root}}/{negative}/s1_ne_07/image.bmp: has no frame number in its name",
                    f"{{root}}/{negative}/s1_ne_08: image00003.bmp and reg_image000003.bmp are both frame 3",
                    f"{{root}}/{negative}/s2_ne_03: 's2_ne_03' is not the name of a clip of s01, negative "
                    "(expected s01_ne_01",
                    f"{{root}}/{tree}/s1/micro/positive/s1_ne_02: 's1_ne_02' is not the name of a clip of s01, posit",
                    f"{{root}}/{tree}/s1/micro/suprise: unknown emotion 'suprise' (did you mean 'surprise'?)",
                    f"{{root}}/{tree}/s2: holds neither micro nor non_micro"]),
            refuses("a link out of the tree", linked(clip), says="leads out of this folder"),
            refuses("two folders of one subject", made(f"{tree}/s01"), says="s01 and s1 are one subject"),
            reads("a frame that is not needed", written(f"{clip}/reg_image076540.bmp", b"BM"), onset=76533),
            refuses("a frame that is needed", written(f"{clip}/reg_image076540.bmp", b"BM"), spotted(),
                says="reg_image076540.bmp: is not a readable image"),
            refuses("no clips", gone(clip), says="no micro-expressions in this folder"),
            refuses("nothing", made("{outside}/empty"), given("{outside}/empty"),
                says=f"{{outside}}/empty: no folder of SMIC's camera {folder}"),
            refuses("SMIC-E", frames(f"{{outside}}/SMIC-{folder}-E/s01/s01_ne_01", range(5), "image{:06}.jpg"),
                given(f"{{outside}}/SMIC-{folder}-E"), says="SMIC-E, has formats of its own, such as smic_e"),
            refuses("a sheet", written("smic.xlsx", b""), given("smic.xlsx"), says="SMIC has no sheet"),
            refuses("no source", given(), says="cannot be used"),
        ],
    )


LACK = "frames between onset and offset are missing"
FEW = {LACK: 1, "non_micro": 1}
SMIC = camera("smic", "HS", 100.0, Twin(7, 22, {"seed": 2}, lacking=2, said={**FEW, LACK: 2}, habits=habits))
SMIC_VIS = camera("smic_vis", "VIS", 25.0, Twin(2, 4, lacking=1, said=FEW, habits=habits))
SMIC_NIR = camera("smic_nir", "NIR", 25.0, Twin(2, 4, lacking=1, said=FEW, channels=1, habits=habits))
