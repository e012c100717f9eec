"""4DME: mixtures of emotions, both releases' headers, trees, and what is said of wrong ones."""

from by_hand import write_sheet
from contract import Edit, Promises, Sheet, Source, Twin
from edits import cells, copied, frames, given, gone, made, moved, reads, reads_all, refuses, rows

from mer_data.datasets.fourdme import SHEET
from mer_data.labels import scheme
from mer_data.schema import Clip
from mer_data.synthetic.fourdme import EXTRAS, HEADER

FOLDER = "gray_micro_crop/S13/S13_1st_001_01_1"
LABELS = "fold subject name onset apex offset emotion units"
ROW = (1, "S13", "S13_1st_001_01_1", 102.0, 117.0, 135.0, "Negative", "AU4(k)+L7")
COUNTED = dict.fromkeys(("AU4", "AU7", "Negative", "Total"), 1)
MIXED = ("Surprise+Positive", "Positive", "Negative+Surprise", "Repression", "Others", "Surprise+Positive")


def habits(root, imported) -> None:
    mixed = [clip for clip in imported.clips if "+" in clip.emotion]
    assert len(mixed) >= 3
    said = f"{len(mixed)} of 36 clips are mixtures of emotions, which 3-class leaves out"
    assert any(said in note for note in imported.notes)
    assert {clip.emotion for clip in mixed} <= set(scheme("native", imported.clips, "twin").classes)


def apostrophes(mark: str) -> Edit:
    """Headers and texts end in a mark."""

    def edit(source: Source) -> None:
        source.write_rows({"subject": f"S13{mark}", "onset": f"102{mark}"}, header=[f"{name}{mark}" for name in HEADER])

    return edit


def mixture(number: int, emotion: str) -> dict[str, object]:
    """A row with an emotion and its class columns."""
    columns = dict.fromkeys(emotion.split("+"), 1) | {"Negative": int("Neg" in emotion)}
    return {"name": f"S13_1st_00{number}_01_2", "emotion": emotion, **columns}


# fmt: off
FOURDME = Promises(
    "4dme",
    Twin(5, 36, {"seed": 2}, clip=lambda truth: {"fps": 60.0},
        frames=lambda truth: range(truth.onset, truth.offset + 1), channels=1,
        said={"numbers of the whole recording": 4, "the middle frame": 1}, habits=habits),
    "4DMicro",
    make=[frames(FOLDER, range(100, 141))],
    sheet=Sheet(SHEET, " ".join([LABELS, *(name.replace(" ", "_") for name in HEADER[8:])]), HEADER,
        (*ROW, *(COUNTED.get(name, "" if name in ("eye blink", "Notes") else 0) for name in HEADER[8:]))),
    clip=Clip("4dme", "4dme/S13", "S13_1st_001_01_1", "negative", 102, 117, 135, "annotated", "AU4(k)+L7", 60.0,
        "S13/S13_1st_001_01_1"),
    tree="gray_micro_crop",
    folder=FOLDER,
    usual=["counted by the class columns, mixtures for each of their classes: negative 1"],
    subjects=("S13", "s13", 13, 13.0, "013"),
    words={"Positive": "positive", "Other": "others"},
    midpoint=118,
    apexes=("", 0, 102, 136),
    mirrored={117: 132},
    together=[
        ({"emotion": "Surprise+Positiv"},
            ["emotion: unknown emotion 'Positiv' (did you mean 'positive'?)",
                "name: clip S13/S13_1st_001_01_1 is in row 2 already"]),
        ({"name": "S13_1st_001_01_2", "emotion": ""},
            ["emotion: unknown emotion ''",
                "name: no folder for clip 'S13_1st_001_01_2' in {root}/gray_micro_crop/S13"]),
        ({"name": "S13_1st_001_01_1x", "emotion": "Positive+", "onset": ""},
            ["emotion: unknown emotion ''", "name: no folder for clip 'S13_1st_001_01_1x'",
                "onset: the cell is empty"]),
        ({"subject": "nobody"}, ["subject: 'nobody' is not a subject (write it as S01 or 1)"]),
        ({"subject": "S14"}, ["subject: no folder for subject S14 in {root}/gray_micro_crop"]),
    ],
    cases=[
        *(case for mark in "'’"
            for case in (reads(f"headers with {mark}", apostrophes(mark), onset=102, id="4dme/S13/S13_1st_001_01_1"),
                refuses(f"a place with {mark}", apostrophes(mark), moved(FOLDER, "gone"),
                    says=f"{{sheet}}, row 2, column fold_name{mark}: no folder for clip"))),
        reads("a folder without the letter", moved("gray_micro_crop/S13", "gray_micro_crop/13"), subject="4dme/S13"),
        reads("numbers as text", cells(onset="102.0", apex="117.0", offset="135.00"), onset=102, apex=117, offset=135),
        refuses("half a frame", cells(apex=117.5), says="{apex}: '117.5' is not a frame number"),
        reads("crops are preferred", frames("gray_micro/S13/S13_1st_001_01_1", range(100, 141)),
            frame_root="{root}/gray_micro_crop"),
        *(
            reads(f"whole frames of {len(sources)} sources", moved("gray_micro_crop", "gray_micro"), given(*sources),
                frame_root="{root}/gray_micro", notes=notes) for sources,
            notes in ((("{root}",), ["not face crops"]), (("{sheet}", "gray_micro"), None))),
        reads("self-reports are not the labels", copied("{sheet}", EXTRAS), source="{sheet}"),
        reads("unless there is nothing else", moved("{sheet}", EXTRAS), source=f"{{root}}/{EXTRAS}"),
        *(reads(f"two emotions: {word!r}", cells(emotion=word, Negative=0), emotion=emotion, notes=None) for word,
            emotion in (("Surprise+Positive", "surprise+positive"), ("positive + Surprise ", "positive+surprise"))),
        reads_all("three classes leave mixtures out",
            *(frames(f"gray_micro_crop/S13/{mixture(n, '')['name']}", range(100, 141)) for n in range(6)),
            rows(*(mixture(number, emotion) for number, emotion in enumerate(MIXED))),
            gives=[{"label": label} for label in (None, "positive", None, "negative", None, None)],
            notes=[
                "3 of 6 clips are mixtures of emotions, which 3-class leaves out: "
                "negative+surprise 1, surprise+positive 2",
                "counted by the class columns, mixtures for each of their classes: "
                "negative 1, others 1, positive 3, repression 1, surprise 3"]),
        # So exchanged labels of two rows can be seen.
        reads_all("no class columns", lambda source: write_sheet(source.path("{sheet}"), HEADER[:8], ROW),
            gives=[{"emotion": "negative", "notes": ()}]),
        reads("class columns that say something else", cells(emotion="Positive"), emotion="positive",
            notes=["{emotion}: positive, but the class columns have negative; positive is kept"]),
        *(
            reads(f"a folder counted from {first}", gone(FOLDER), frames(FOLDER, range(first, first + 34)),
                onset=first, apex=first + 15, offset=first + 33,
                notes=[f"{{onset}}: numbers of the whole recording; {102 - first} is subtracted"]) for first in (0, 1)),
        refuses("a folder that does not fit", gone(FOLDER), frames(FOLDER, range(50)), says=["{onset}: ", "{apex}: "]),
        refuses("two folders of one subject", made("gray_micro_crop/13"), says="13 and S13 are one subject"),
    ],
)
