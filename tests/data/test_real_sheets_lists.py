"""The list `casmes` finds clips whose names an official sheet repeats: by Off-TANet's onsets."""

from __future__ import annotations

from dataclasses import replace

from mer_data.composites import onsets, published, select
from mer_data.schema import Clip


def clip(name: str, onset: int, subject: str = "sub06") -> Clip:
    return Clip("casme", f"casme/{subject}", name, "tense", onset, onset + 5, onset + 20, "annotated")


def official() -> list[Clip]:
    """All clips of the list, those of sub06's EP02 and of sub08's EP12 under the names that the sheet repeats."""
    clips = []
    for clip_id in published("casmes"):
        dataset, subject, name = clip_id.split("/")
        made = replace(
            clip(name, onsets("casmes").get(clip_id, 1), subject), dataset=dataset, subject=f"{dataset}/{subject}"
        )
        if (subject, name) in [("sub06", f"EP02_{index}") for index in (3, 5, 6, 7, 8, 9)]:
            made = replace(made, name=f"EP02_5@{made.onset}")
        if subject == "sub08" and name.startswith("EP12_2_"):
            made = replace(made, name=f"EP12_2@{made.onset}")
        clips.append(made)
    return clips


def test_repeated_names_match_by_onset() -> None:
    found = select("casmes", official(), "here")
    # sub06's EP02_5 and EP02_9 both begin at frame 7: one clip cannot be told from the other, and both are named.
    assert set(found.missing) <= {"casme/sub06/EP02_5", "casme/sub06/EP02_9"}
    assert len(found.labelled) + len(found.missing) == found.planned == 294
    classes = {one.id: label for one, label in found.labelled}
    assert classes["casme/sub06/EP02_5@36"] == "surprise"
    assert classes["casme/sub08/EP12_2@31"] == "surprise"


def test_the_number_of_the_name_counts_where_the_folder_counts_afresh() -> None:
    afresh = replace(clip("EP02_5@27", 1), offset=20)
    assert [one.id for one, _ in select("casmes", [afresh], "here").labelled] == ["casme/sub06/EP02_5@27"]


def test_no_other_clip_is_taken_for_one_of_the_list() -> None:
    others = [clip("EP13_1@27", 27), clip("EP02_4", 27), clip("EP02_5@27", 27, "sub07")]
    found = select("casmes", [*others, clip("EP04_2", 71)], "here")
    assert [one.name for one, _ in found.labelled] == ["EP04_2"]
    twins = [clip("EP02_5@27", 27), replace(clip("EP02_6@27", 27), apex=40)]
    assert "casme/sub06/EP02_7" in select("casmes", [*twins, clip("EP04_2", 71)], "here").missing


def test_a_folder_of_the_list_s_name_decides_first() -> None:
    both = [replace(clip(f"EP02_5@{at}", 7), frames=f"sub06/{name}") for at, name in ((107, "EP02_5"), (207, "EP02_9"))]
    labelled = dict(select("casmes", both, "here").labelled)
    assert [one.name for one in labelled] == ["EP02_5@107", "EP02_5@207"]
