"""The lists and flow pictures of Dual-ATME: the 442 clips of MEGC 2019, shared out to one fold per subject.

Zhou, Huang, Li, Wang, "Dual-ATME: Dual-Branch Attention Network for Micro-Expression Recognition", Entropy 25(3) 460,
2023, doi 10.3390/e25030460.

::

    data/MEGC2019/v_cde_flow/subName.txt                      one subject per line: sub01, s01, 006
    data/MEGC2019/v_cde_flow/sub01_train.txt, sub01_test.txt  PATH LABEL DATABASE per line
    .../casme2/flow/sub01_EP02_01f_img59-img46_flow.png       the apex before the onset
    .../casme2/flow_puzzle/sub01_EP02_01f_img59-img46_flow_puzzle.png

The paths in the lists are those of a computer of the authors; files are found by the ends of the paths. The third
column is not read: its numbers mean other databases in other copies. SMIC has no annotated apex; the one in the names
was spotted. How the pictures were coloured was never published.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mer_data.files import read as read_file
from mer_data.frames import inside
from mer_data.imported import Imported, ImportedFeature
from mer_data.problems import BadInput, Problem, raise_all
from mer_data.published.folds import Fold, Half, check_folds
from mer_data.published.foreign import few, imported_spec, match_tail, notes_on
from mer_data.published.megc2019 import DATASETS, LABELS, clip_id_of, in_order, labels_remedy, make_clip, subject_of
from mer_data.published.pictures import Picture, read_png
from mer_data.schema import Clip

SUBJECTS = "subName.txt"
# Where the lists may be, below the folder that is given.
LISTS = (".", "v_cde_flow", "MEGC2019/v_cde_flow", "data/MEGC2019/v_cde_flow")
# Feature to the folder and the end of the name of its pictures; our own features of these names have other colours.
PICTURES = {"flow_picture": "flow", "flow_puzzle": "flow_puzzle"}
ORIGIN = "flow pictures of Dual-ATME"
_STEM_END = re.compile(r"(?<![0-9])[0-9]{1,9}$")
_FILE_FORM = "SUBJECT_CLIP_APEX-ONSET_flow.png, for instance sub01_EP02_01f_img59-img46_flow.png"


@dataclass(frozen=True)
class _Named:
    """What the name of a flow picture tells."""

    clip_id: str
    onset: int
    apex: int


def read(sources: Sequence[Path]) -> Imported:
    """Read the lists and the pictures that they name.

    Parameters
    ----------
    sources
        The folder that holds lists and pictures; or the folder of the lists and that of the pictures, in any order.

    Returns
    -------
    Clips of MEGC 2019 by dataset, subject and name, with onset and apex but without frames; and as features the two
    pictures, uint8 ``[3, S, S]`` in the order r, g, b: ``flow_picture_S`` and ``flow_puzzle_S`` for the size S that
    they have. Notes where clips or classes differ from the published list.

    Raises
    ------
    BadInput
        With everything that is wrong: each clip must be tested in the fold of its own subject alone and be in all
        folds, and its pictures must be there, inside the folder, square, and of one size.
    """
    lists, root = _find(sources)
    problems: list[Problem] = []
    subjects = _read_subjects(lists, problems)
    places: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    there = [name for name in subjects if any(path.exists() for path in _lists_of(lists, name))]
    read_folds = {name: _read_fold(lists, name, subjects[name], places, elsewhere, problems) for name in there}
    notes = _rebuild(lists, subjects, read_folds)
    places = elsewhere | places
    folds = [
        read_folds.get(name) or _read_fold(lists, name, subject, places, elsewhere, problems)
        for name, subject in subjects.items()
    ]
    tested = check_folds(lists, folds, problems, owner="the lists'", test="test list")
    _check_files(lists, folds, problems)
    clips = in_order(_clip(clip_id, label, path) for clip_id, (label, path) in tested.items())
    features = [
        _read_pictures(root, feature, {clip.id: (tested[clip.id][1], places[clip.id]) for clip in clips}, problems)
        for feature in PICTURES
    ]
    raise_all(problems)
    found = tuple(feature for feature in features if feature)
    return Imported(clips, lists / SUBJECTS, notes=(*notes, *notes_on(clips, "megc2019")), features=found)


def _find(sources: Sequence[Path]) -> tuple[Path, Path]:
    """Find the folder of the lists and that of the pictures."""
    with_lists = {
        path: lists
        for path in sources
        if (lists := next((path / name for name in LISTS if (path / name / SUBJECTS).is_file()), None))
    }
    others = [path for path in sources if path not in with_lists and path.is_dir()]
    if len(with_lists) != 1 or len(sources) > 2 or len(with_lists) + len(others) < len(sources):
        named = ", ".join(map(str, sources)) or "no source"
        what = f"one folder with {SUBJECTS} in it, in v_cde_flow or in data/MEGC2019/v_cde_flow is needed"
        raise BadInput(Problem(named, what, "give it, and the folder of the pictures too where that is another one"))
    ((source, lists),) = with_lists.items()
    return lists, (others[0] if others else source)


def _read_subjects(lists: Path, problems: list[Problem]) -> dict[str, str]:
    """Read the subjects, as the lists are named, and the qualified subject each stands for."""
    subjects: dict[str, str] = {}
    for number, line in _lines(lists, SUBJECTS, problems):
        where = f"{lists / SUBJECTS}, line {number}"
        spelled = subject_of(line)
        subject = "/".join(spelled) if spelled else ""
        if not subject:
            problems.append(Problem(where, f"{line!r} is not a subject", "write it like sub01, s01 or 006"))
        elif subject in subjects.values():
            problems.append(Problem(where, f"subject {subject} is listed twice", "keep one line"))
        else:
            subjects[line] = subject
    for path in sorted(lists.glob("*_test.txt")):
        name = path.name.removesuffix("_test.txt")
        # A list of an unknown subject would be a fold that is silently left out.
        if subject_of(name) and name not in subjects:
            problems.append(Problem(str(path), f"subject {name!r} has no line in {SUBJECTS}", "add it there"))
    return subjects


def _lists_of(lists: Path, name: str) -> tuple[Path, Path]:
    return lists / f"{name}_test.txt", lists / f"{name}_train.txt"


def _rebuild(lists: Path, subjects: Mapping[str, str], folds: dict[str, Fold]) -> list[str]:
    """Add the folds whose lists are not there, from the fold that names most clips, and say which they are.

    Only three of the 68 folds were ever published, of which one names all clips. A fold of which both lists are missing
    holds out its subject's clips; so does one that names fewer clips than the fullest, where folds are missing.
    """
    lacking = [name for name in subjects if name not in folds]
    if not lacking or not folds:
        return []
    fullest = max((fold.test | fold.train for fold in folds.values()), key=len)
    known = {clip_id.rpartition("/")[0] for clip_id in fullest}
    rebuilt = [name for name in lacking if subjects[name] in known]
    if not rebuilt:
        return []
    what = f"{len(rebuilt)} of {len(subjects)} folds are not published, and made of the clip list"
    notes = [f"{lists}: {what}: {', '.join(rebuilt)}"]
    for name, fold in folds.items():
        here = len(fold.test | fold.train)
        if here < len(fullest):
            notes.append(f"{lists}: the lists of {name} name {here} of {len(fullest)} clips; the others are added")
            rebuilt.append(name)
    for name in rebuilt:
        own = {clip_id: of for clip_id, of in fullest.items() if clip_id.startswith(f"{subjects[name]}/")}
        rest = {clip_id: of for clip_id, of in fullest.items() if clip_id not in own}
        given = folds.get(name)
        test, train = (own | given.test, rest | given.train) if given else (own, rest)
        folds[name] = Fold(subjects[name], test, train, *_lists_of(lists, name))
    return notes


def _read_fold(
    lists: Path,
    name: str,
    subject: str,
    places: dict[str, str],
    elsewhere: dict[str, str],
    problems: list[Problem],
) -> Fold:
    test_at, train_at = _lists_of(lists, name)
    train = _read_list(lists, train_at.name, elsewhere, problems)
    return Fold(subject, _read_list(lists, test_at.name, places, problems), train, test_at, train_at)


def _read_list(lists: Path, file: str, places: dict[str, str], problems: list[Problem]) -> Half:
    """Read a list: clip id to label and path; `places` gets the file and line of each clip."""
    half: Half = {}
    for number, line in _lines(lists, file, problems):
        where = f"{lists / file}, line {number}"
        fields = line.rsplit(maxsplit=2)  # from the right: a path may have blanks in it
        if len(fields) < 3:
            problems.append(Problem(where, f"{line!r} is not PATH LABEL DATABASE", "restore the line"))
            continue
        path, label, _ = fields
        named = _read_path(path)
        if isinstance(named, str):
            problems.append(Problem(where, named, f"pictures are named {_FILE_FORM}"))
        elif label not in LABELS:
            problems.append(Problem(where, f"{label!r} is not a label", labels_remedy()))
        elif named.clip_id in half:
            problems.append(Problem(where, f"clip {named.clip_id} is in this list already", "keep one line"))
        else:
            half[named.clip_id] = (label, path)
            places.setdefault(named.clip_id, where)
    return half


def _lines(lists: Path, file: str, problems: list[Problem]) -> list[tuple[int, str]]:
    """Number the lines of a text file that are not empty; none if it cannot be read, which is a problem."""
    path = lists / file
    remedy = "restore it from the original"
    try:
        inside(lists, file)
        text: str = read_file(path, lambda: path.read_text(encoding="utf-8-sig"), remedy)
    except BadInput as error:
        problems += error.problems
        return []
    if "\0" in text:
        problems.append(Problem(str(path), "holds NUL characters", remedy))
        return []
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


@lru_cache(maxsize=4096)  # the folds repeat each path once per held-out subject
def _read_path(path: str) -> _Named | str:
    """Tell clip, onset and apex from a path, or say what is wrong with it."""
    folder, _, name = path.replace("\\", "/").rpartition("/")
    stems, dash, onset_stem = name.removesuffix("_flow.png").rpartition("-")
    # The stem of a frame may have underscores in it (SAMM: 006_05588); that of the onset has as many as the apex's.
    parts = stems.split("_")
    count = onset_stem.count("_") + 1
    apex_stem = "_".join(parts[-count:])
    onset, apex = _STEM_END.search(onset_stem), _STEM_END.search(apex_stem)
    clip_id = clip_id_of("_".join(parts[:-count]))
    if not (dash and name.endswith("_flow.png") and onset and apex and clip_id):
        return f"{name!r} names no clip, apex and onset"
    if onset_stem[: onset.start()] != apex_stem[: apex.start()]:
        return f"{name!r} names its apex {apex_stem!r} and its onset {onset_stem!r} in different ways"
    dataset, above = clip_id.partition("/")[0], folder.split("/")[-2:]
    if above[-1] != PICTURES["flow_picture"]:
        return f"{path!r} is not in a folder {PICTURES['flow_picture']!r}"
    if above[0] in DATASETS and above[0] != dataset:
        return f"{path!r} is in {above[0]}, but its subject is spelled as in {dataset}"
    return _Named(clip_id, int(onset[0]), int(apex[0]))


def _check_files(lists: Path, folds: Sequence[Fold], problems: list[Problem]) -> None:
    """Check that all folds mean the same picture by a clip; another one would have another apex."""
    files: defaultdict[str, set[str]] = defaultdict(set)
    for fold in folds:
        for clip_id, (_, path) in (*fold.test.items(), *fold.train.items()):
            files[clip_id].add(re.split(r"[\\/]", path)[-1])
    for clip_id, names in sorted(files.items()):
        if len(names) > 1:
            what = f"clip {clip_id} has several pictures: {few(names)}"
            problems.append(Problem(str(lists), what, "name the same one in all lists"))


def _clip(clip_id: str, label: str, path: str) -> Clip:
    clip, named = make_clip(clip_id, LABELS[label]), _read_path(path)
    assert isinstance(named, _Named)  # noqa: S101 - _read_list keeps no other
    source = "spotted" if clip.dataset == "smic" else "annotated"
    return replace(clip, onset=named.onset, apex=named.apex, apex_source=source)


def _read_pictures(
    root: Path, feature: str, paths: Mapping[str, tuple[str, str]], problems: list[Problem]
) -> ImportedFeature | None:
    """Read one of the two pictures of every clip; `paths` gives its path in the lists and where that stands."""
    arrays: dict[str, Picture] = {}
    for clip_id, (path, place) in paths.items():
        try:
            file = match_tail(root, _path_of(feature, path))
        except BadInput as error:
            problems += [replace(problem, where=f"{place}: {problem.where}") for problem in error.problems]
            continue
        wanted = "a flow picture is square"
        picture = read_png(file, f"{file} ({place})", lambda width, height: width == height > 0, wanted)
        if isinstance(picture, Problem):
            problems.append(picture)
        else:
            arrays[clip_id] = picture
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for clip_id, array in arrays.items():
        by_size[array.shape[1]].append(clip_id)
    if len(by_size) > 1:
        said = "; ".join(f"{size}x{size} of {few(ids)}" for size, ids in sorted(by_size.items()))
        what = f"the pictures of {feature} differ in size: {said}"
        problems.append(Problem(str(root), what, "make them anew at one size"))
    if len(by_size) != 1:
        return None
    (size,) = by_size
    params = {"origin": ORIGIN, "coding": "not published"}
    spec = imported_spec(f"{feature}_{size}", "onset-apex", ("r", "g", "b"), (size, size), "uint8", params)
    return ImportedFeature(spec, arrays, ORIGIN)


def _path_of(feature: str, path: str) -> str:
    """The path of a clip's other picture: its last folder and the end of its name differ, and nothing else."""
    folder, name = PICTURES[feature], re.split(r"[\\/]", path)[-1]
    above = path[: len(path) - len(name) - 1].removesuffix(PICTURES["flow_picture"])
    return f"{above}{folder}/{name.removesuffix('_flow.png')}_{folder}.png"
