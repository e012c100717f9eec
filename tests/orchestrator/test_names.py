"""Names are what strangers gave: they lead nowhere, and no letter of them decides what a terminal shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blobs import blob_clips, write_blobs

from mer_data.formats import read_format
from mer_data.frames import list_frames
from mer_data.problems import BadInput, Problem, shown
from mer_data.storage.store import Store
from mer_data.synthetic import make_casme2
from orchestrator.cli import commands as cli
from orchestrator.console import Console

# Colours, the title of the window, a bell, a line of its own, text turned round, bytes that are no letters.
EVIL = (
    "\x1b[31mred", "\x1b]0;title\x07", "a\nverified: 9 files", "\u202egnp.exe", "\udcff\udcfe", "\x9b2J", "\r1", "\x7f",
)  # fmt: skip


def harmless(text: str) -> bool:
    text.encode()  # what cannot be encoded ends the program that prints it
    return all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.parametrize("name", EVIL)
def test_a_message_spells_what_a_terminal_would_obey(name: str) -> None:
    for problem in (Problem(name, "x"), Problem("x", name), Problem("x", "y", name)):
        assert harmless(str(problem))
        assert len(str(problem).splitlines()) == 1
    assert harmless(str(BadInput([Problem(name, "x"), Problem("y", name)])))


@pytest.mark.parametrize("text", ["plain", "Zürich, 東京, آپکس", "a  b", ""])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("name", EVIL)
def test_so_does_the_console(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say(name)
    console.warn(name)
    console.note(name)
    console.table(name, (name, "b"), [(name, "1")])
    with console.progress(name, 1, "clips") as progress:
        progress.advance(1)
    printed = capsys.readouterr()
    assert harmless(printed.out + printed.err)


@pytest.mark.parametrize("name", [name for name in EVIL if "/" not in name])
def test_commands_spell_names_of_files_and_datasets(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_blobs(Store(tmp_path / "store"), "blobs", blob_clips(6, 3))
    os.rename(tmp_path / "store/blobs", tmp_path / "store" / name)  # noqa: PTH104 - a name that is no text
    (tmp_path / name).write_bytes(b"nothing")
    for arguments in (
        ["data", "list", "--store", str(tmp_path / "store")],
        ["run", str(tmp_path / name)],
        ["data", "doctor", "casme2", str(tmp_path / name)],
        ["verify", str(tmp_path / name)],
        ["weights", "import", "ststnet", str(tmp_path / name), "--to", str(tmp_path / "x.safetensors")],
        ["models", "--models", str(tmp_path / name)],
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        printed = capsys.readouterr()
        assert harmless(printed.out + printed.err), arguments
        assert stopped.value.code in (None, 0, 2), arguments


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"BM")
    return path


def test_a_frame_that_is_linked_out_of_its_tree_is_refused_as_a_linked_folder_is(tmp_path: Path) -> None:
    outside, tree = image(tmp_path / "outside/img2.bmp"), tmp_path / "tree"
    image(tree / "sub01/EP01/img1.bmp")
    (tree / "sub01/EP01/img2.bmp").symlink_to(outside)
    with pytest.raises(BadInput, match=r"img2\.bmp' leads out of this folder"):
        list_frames(tree / "sub01/EP01", tree)


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_within_the_tree_is_read(tmp_path: Path, relative: bool) -> None:
    tree = tmp_path / "tree"
    target = image(tree / "objects/img2.bmp")
    image(tree / "sub01/EP01/img1.bmp")
    (tree / "sub01/EP01/img2.bmp").symlink_to("../../objects/img2.bmp" if relative else target)
    (tmp_path / "linked").symlink_to(tree)  # the tree itself may be reached by a link
    for root in (tree, tmp_path / "linked"):
        assert sorted(list_frames(root / "sub01/EP01", root)) == [1, 2]


def test_an_import_refuses_a_frame_from_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "CASME2"
    make_casme2(tree, subjects=2, clips=4, length=(4, 5))
    frame = next(iter(sorted(tree.rglob("*.jpg"))))
    frame.rename(tmp_path / "elsewhere.jpg")
    frame.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(BadInput, match="leads out of this folder"):
        read_format("casme2", [tree])
