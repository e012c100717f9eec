"""SMIC: the same events in three cameras: HS (164 clips, 16 subjects, 100 frames per second), VIS and NIR (71, 8, 25).

Li, Pfister, Huang, Zhao, Pietikäinen, "A spontaneous micro-expression database: inducement, collection and baseline",
FG 2013, doi 10.1109/FG.2013.6553717.

::

    SMIC/SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image559740.bmp  else SMIC_all_raw
    SMIC/SMIC_all_cropped/HS/s1/non_micro/                                   passed over

There is no sheet. The emotion is a folder, onset and offset are the first and the last file, an apex is not told. The
field's lists write ``s01`` and ``s01_ne_01``, and so do we. They call HS ``smic``, and so is it called here. The
extended release, SMIC-E, with longer clips and a sheet, is another format: :mod:`mer_data.datasets.smic_e`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mer_data.apex import midpoint, spot_apex
from mer_data.datasets.common import (
    WHOLE_FRAMES,
    Report,
    entries,
    find_folder,
    loose,
    sheet_and_root,
    subject_folders,
    subject_reader,
)
from mer_data.frames import IMAGE_SUFFIXES, frame_number, gap, inside, list_frames, missing_between
from mer_data.imported import ApexRule, Imported, PartlyRead
from mer_data.problems import BadInput, Problem, did_you_mean, raise_all
from mer_data.schema import Clip


@dataclass(frozen=True)
class Camera:
    """What a camera's clips are called in SMIC and in SMIC-E, the extended release; and frames per second."""

    dataset: str
    extended: str
    fps: float


CAMERAS = {
    "HS": Camera("smic", "smic_e", 100.0),  # high speed
    "VIS": Camera("smic_vis", "smic_e_vis", 25.0),  # visible light
    "NIR": Camera("smic_nir", "smic_e_nir", 25.0),  # near infrared
}
TREES = ("SMIC_all_cropped", "SMIC_all_raw")
EMOTIONS = {"negative": "ne", "positive": "po", "surprise": "sur"}
_EXTENDED = "the extended release, SMIC-E, has formats of its own, such as smic_e"
read_subject = subject_reader(r"s0*(\d{1,2})", "s{:02}")  # s01 may also be written s1
_CLIP = re.compile(r"s0*(\d{1,2})_([a-z]+)_(\d+)", re.IGNORECASE)


def read(camera: str, sources: Sequence[Path], apex: ApexRule = "midpoint") -> Imported:
    """Read one camera of SMIC as it is distributed.

    Parameters
    ----------
    camera
        One of ``CAMERAS``.
    sources
        The folder ``SMIC``, or one of its trees; the cropped tree is taken if there are two.
    apex
        Where to put the apex, which SMIC does not tell.

    Returns
    -------
    Clips by subject and name, with a note for what was passed over.

    Raises
    ------
    BadInput
        With all that is wrong with the folders and files.
    """
    if any(path.is_file() for path in sources):
        raise BadInput(Problem(", ".join(map(str, sources)), "cannot be used", "SMIC has no sheet; give its folder"))
    _, root = sheet_and_root(sources)
    tree, notes = _find_tree(root, camera)
    reader = _Reader(camera, tree, apex)
    reader.report.notes += notes
    for subject, home in sorted(subject_folders(tree, read_subject).items()):
        reader.read_subject(subject, home)
    left_out = [f"left out: {problem}" for problem in reader.report.problems]
    said = (*left_out, *reader.notes())
    imported = Imported(tuple(reader.clips), tree, tree, said, left_out=len(left_out), raw=_is_raw(tree))
    if reader.report.problems:
        raise PartlyRead(reader.report.problems, imported)
    if not reader.clips:
        raise BadInput(Problem(str(tree), "no micro-expressions in this folder", "expected s1/micro/negative/s1_ne_01"))
    return imported


read_hs, read_vis, read_nir = (partial(read, camera) for camera in CAMERAS)


def read_name(text: str) -> tuple[str, str] | None:
    """Turn ``s1_ne_01`` or ``s01_ne_01`` into subject ``s01`` and clip ``s01_ne_01``; None if it is neither."""
    match = _CLIP.fullmatch(text)
    if match is None:
        return None
    subject = f"s{int(match.group(1)):02}"
    return subject, f"{subject}_{match.group(2).lower()}_{match.group(3)}"


def _find_tree(root: Path, camera: str) -> tuple[Path, list[str]]:
    """Find the folder with a camera's subjects, cropped before raw; and what is to be said about it."""
    for base in (*(tree for name in TREES if (tree := find_folder(root, [name]))), root):
        notes = [f"{base}: {WHOLE_FRAMES}"] if _is_raw(base) else []
        if tree := find_folder(base, [camera]):
            return tree, notes
        if subject_folders(base, read_subject):
            _refuse_other_camera(base, camera)
            named = loose(base.name) == loose(camera)
            return base, notes if named else [*notes, f"{base}: no folder {camera} in it; taken for that camera's"]
    remedy = f"expected {TREES[0]}/{camera}/s1, {camera}/s1 or s1; {_EXTENDED}"
    raise BadInput(Problem(str(root), f"no folder of SMIC's camera {camera}", remedy))


def _is_raw(folder: Path) -> bool:
    return loose(TREES[1]) in (loose(folder.name), loose(folder.parent.name))


def _refuse_other_camera(tree: Path, camera: str) -> None:
    others = {loose(name): name for name in CAMERAS if name != camera}
    other = others.get(loose(tree.name))
    if other:
        remedy = f"give SMIC's folder {camera}, or import this one as {CAMERAS[other].dataset}"
        raise BadInput(Problem(str(tree), f"is the folder of camera {other}, not {camera}", remedy))


class _Reader:
    """Reads one camera's subjects, and remembers what was seen and said."""

    def __init__(self, camera: str, tree: Path, apex: ApexRule) -> None:
        self.clips: list[Clip] = []
        self.report = Report()
        self._dataset, self._fps = CAMERAS[camera].dataset, CAMERAS[camera].fps
        self._tree, self._apex = tree, apex
        self._passed_over = 0

    def notes(self) -> list[str]:
        """What was said, and what holds for all clips."""
        where = f"{self._tree}: "
        rule = "the frame of most motion" if self._apex == "spotted" else "the middle frame"
        all_clips = [f"{where}no apex is annotated; {rule} is used for all {len(self.clips)} clips"]
        if self._passed_over:
            all_clips.append(f"{where}{self._passed_over} folders non_micro, without micro-expressions, are left out")
        return [*self.report.notes, *all_clips]

    def read_subject(self, subject: str, home: Path) -> None:
        """Read all clips of a subject."""
        kinds = {loose(path.name): path for path in entries(home) if path.is_dir()}
        self._passed_over += "nonmicro" in kinds
        if "micro" not in kinds and "nonmicro" not in kinds:
            remedy = f"restore it from the original; {_EXTENDED}"
            self.report.problem(str(home), "holds neither micro nor non_micro", remedy)
        seen: dict[str, Path] = {}
        for folder in entries(kinds["micro"]) if "micro" in kinds else ():
            if folder.is_dir():
                self._read_emotion(subject, folder, seen)

    def _read_emotion(self, subject: str, folder: Path, seen: dict[str, Path]) -> None:
        emotion = folder.name.lower()
        if emotion not in EMOTIONS:
            self.report.problem(str(folder), f"unknown emotion {folder.name!r}", did_you_mean(emotion, EMOTIONS))
            return
        for path in (path for path in entries(folder) if path.is_dir()):
            name = self._name(subject, emotion, path)
            if name in seen:
                self.report.problem(str(path), f"is clip {name}, as {seen[name].name} is", "keep one")
            elif name:
                seen[name] = path
                self._read_clip(subject, name, emotion, path)

    def _name(self, subject: str, emotion: str, folder: Path) -> str | None:
        """The canonical name of a clip; None if it is not of this subject and this emotion."""
        named = read_name(folder.name)
        if named and named[0] == subject and named[1].split("_")[1] == EMOTIONS[emotion]:
            return named[1]
        what = f"{folder.name!r} is not the name of a clip of {subject}, {emotion}"
        remedy = f"expected {subject}_{EMOTIONS[emotion]}_01 or the like; the label depends on it"
        self.report.problem(str(folder), what, remedy)
        return None

    def _read_clip(self, subject: str, name: str, emotion: str, folder: Path) -> None:
        try:
            relative = folder.relative_to(self._tree).as_posix()
            inside(self._tree, relative)
            frames = list_frames(folder, self._tree)
            self._check(frames, folder)
            onset, offset = min(frames), max(frames)
            apex = self._find_apex(frames, onset, offset, folder)
        except BadInput as error:
            self.report.problems += error.problems
            return
        clip = Clip(
            dataset=self._dataset,
            subject=f"{self._dataset}/{subject}",
            name=name,
            emotion=emotion,
            onset=onset,
            apex=apex,
            offset=offset,
            apex_source=self._apex,
            fps=self._fps,
            frames=relative,
        )
        self.clips.append(clip)

    def _check(self, frames: Mapping[int, Path], folder: Path) -> None:
        """Refuse what cannot be a clip, as its first and last file are its onset and offset; note what is missing."""
        raise_all(
            Problem(str(path), "has no frame number in its name", "restore the name, or remove the file")
            for path in entries(folder)
            if path.suffix.lower() in IMAGE_SUFFIXES and frame_number(path.name) is None
        )
        if len(frames) < 2:
            what = "only one frame in this folder" if frames else "no frames in this folder"
            raise BadInput(Problem(str(folder), what, "restore it from the original"))
        absent, _ = missing_between(frames, min(frames), max(frames))
        if absent > len(frames):
            what = f"{absent} frames are missing between {min(frames)} and {max(frames)}, more than there are"
            raise BadInput(Problem(str(folder), what, "restore them, or remove the files that do not belong here"))
        if said := gap(frames, min(frames), max(frames)):
            self.report.note(str(folder), said)

    def _find_apex(self, frames: Mapping[int, Path], onset: int, offset: int, folder: Path) -> int:
        if self._apex == "spotted":
            return spot_apex(frames, onset, offset, fps=self._fps)
        middle = midpoint(onset, offset)
        nearest = min((n for n in frames if n > onset), key=lambda n: (abs(n - middle), n))
        if nearest != middle:
            self.report.note(str(folder), f"the middle frame {middle} is missing on disk; frame {nearest} is used")
        return nearest
