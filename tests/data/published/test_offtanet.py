"""Off-TANet's list as it was published."""

from collections import Counter
from pathlib import Path

from contract import Source
from edits import frames
from promises.offtanet import FRAMES, OFFTANET

from mer_data.composites import published, select

CALLED = {"casme": ("casme1", FRAMES[0]), "casme2": ("casme2", FRAMES[1]), "casme_sq": ("casme^2", FRAMES[2])}


def test_the_published_list_finds_all_its_clips(tmp_path: Path) -> None:
    source, rows = Source(OFFTANET, tmp_path, lambda _: tmp_path), []
    for clip_id, label in published("casmes").items():
        dataset, subject, name = clip_id.split("/")
        called, file = CALLED[dataset]
        cells = {"dataset": called, "subject": subject.removeprefix("s") if dataset == "casme_sq" else subject}
        rows.append({**cells, "name": name, "onset": 100, "apex": 107, "class": label})
        frames(f"{called}_cropped/{cells['subject']}/{name}", (100, 107), file.replace("EP01_5", name))(source)
    source.write_rows(*rows)
    imported = source.read()
    assert imported.notes == ()
    selection = select("casmes", imported.clips, "test")
    assert (len(selection.labelled), selection.missing) == (294, ())
    assert all(clip.emotion == label for clip, label in selection.labelled)
    assert Counter(clip.dataset for clip in imported.clips) == {"casme": 114, "casme2": 145, "casme_sq": 35}
    assert len({clip.subject for clip in imported.clips}) == 49
