"""The twin of an official release: who is in it, and where its frames, its sheets and the rest lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mer_data.synthetic.casting import ClipTruth, Profile, of_one_size, plan
from mer_data.synthetic.raw import LANDMARKS, RawForm, draw_raw, landmarks_sheet, place, told_of
from mer_data.synthetic.twin import FrameFile, Progress, draw_planned
from mer_data.synthetic.workbook import Worksheets, write_worksheets

_FACE = (140, 170)  # width and height of the smallest face in whole pictures, before it is enlarged


@dataclass(frozen=True)
class Layout:
    """What lies in a twin's folder. All paths are below it; folders are made as needed.

    Attributes
    ----------
    frame_file
        Gives the path of a clip's frame; see :func:`~.twin.draw_planned`.
    sheets
        Path of each workbook to its worksheets.
    files
        Path of every other file to its bytes. A path that ends in ``/`` is an empty folder.
    """

    frame_file: FrameFile
    sheets: Mapping[str, Worksheets] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def as_raw(self, form: RawForm, landmarks: bytes) -> Layout:
        """The same of a tree of whole pictures, with a sheet of landmarks."""

        def frame_file(truth: ClipTruth, number: int) -> str | None:
            cropped = self.frame_file(truth, number)
            return None if cropped is None else form.path(cropped)

        files = {form.path(name): data for name, data in self.files.items()}
        return Layout(frame_file, self.sheets, {**files, LANDMARKS: landmarks})

    def write_rest(self, folder: Path) -> None:
        """Write all but the frames into a folder."""
        for name, worksheets in self.sheets.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_worksheets(folder / name, worksheets)
        for name, data in self.files.items():
            if name.endswith("/"):
                (folder / name).mkdir(parents=True)
            else:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)


@dataclass(frozen=True)
class DatasetTwin:
    """Writes a twin of a dataset in the layout of its official release: it is called as a :class:`~.twin.MakeTwin`.

    Attributes
    ----------
    profile
        Who and what is in it.
    layout
        Gives what lies in the folder, for the clips that are drawn.
    subjects, clips
        As many as the real dataset has.
    size, length
        What a call leaves out.
    quirks
        Changes the planned clips where the dataset has what no plan gives, such as two clips in one folder.
    one_size
        Whether all clips have frames of `size`.
    before, after, grey
        As for :func:`~.twin.draw_planned`.
    raw
        Its form in whole pictures, where it is distributed so; else there is no twin of that.
    """

    profile: Profile
    layout: Callable[[Sequence[ClipTruth]], Layout]
    subjects: int
    clips: int
    length: tuple[int, int]
    size: tuple[int, int] = (140, 170)
    quirks: Callable[[Sequence[ClipTruth]], Sequence[ClipTruth]] = list
    one_size: bool = False
    before: int = 0
    after: int = 0
    grey: bool = False
    raw: RawForm | None = None

    def __call__(
        self,
        dest: Path,
        *,
        subjects: int | None = None,
        clips: int | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        length: tuple[int, int] | None = None,
        progress: Progress | None = None,
        raw: bool = False,
        scale: float = 1.0,
    ) -> None:
        """Plan the clips and write them; what is None is as in the real dataset.

        With `raw`, in whole pictures of the published size, or of that size times `scale`.
        """
        people = self.subjects if subjects is None else subjects
        many = self.clips if clips is None else clips
        size = (_FACE if raw else self.size) if size is None else size
        length = self.length if length is None else length
        planned = plan(self.profile.casting(people, many, size, length), seed)
        if self.one_size:
            planned = of_one_size(planned, size)
        if raw:
            self._write_raw(dest, self.quirks(planned), seed, scale, progress)
        else:
            self.write(dest, self.quirks(planned), seed=seed, progress=progress)

    def _write_raw(
        self, dest: Path, planned: Sequence[ClipTruth], seed: int, scale: float, progress: Progress | None
    ) -> None:
        if self.raw is None:
            raise ValueError(f"{self.profile.dataset} has no twin in whole pictures")
        truths, places = place(planned, self.raw, seed, scale)
        layout = self.layout(truths).as_raw(self.raw, landmarks_sheet(truths, places, seed))
        self._draw(dest, truths, layout, seed, progress, draw=partial(draw_raw, places=places), told=told_of(places))

    def write(self, dest: Path, planned: Sequence[ClipTruth], *, seed: int, progress: Progress | None = None) -> None:
        """Write clips that are planned already; see :func:`~.twin.draw_planned`."""
        self._draw(dest, planned, self.layout(planned), seed, progress)

    def _draw(
        self,
        dest: Path,
        planned: Sequence[ClipTruth],
        layout: Layout,
        seed: int,
        progress: Progress | None,
        **how: Any,
    ) -> None:
        draw_planned(
            dest,
            planned,
            layout.frame_file,
            layout.write_rest,
            seed=seed,
            before=self.before,
            after=self.after,
            grey=self.grey,
            progress=progress,
            **how,
        )
