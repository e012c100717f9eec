"""What would take all memory or never end is refused at once, in one message."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import xlsxwriter

from mer_data.frames import decode, frame_bytes, list_frames
from mer_data.problems import BadInput
from mer_data.sheets import read_bare
from mer_models.plugins import BrokenModelFile
from orchestrator.experiment import config, user_models

# Reads a file as the program does, and prints how long that took, what memory came on top, and what was said.
LOOK = """
import json, resource, sys, time
from pathlib import Path
from mer_data.frames import decode, frame_bytes, list_frames
from mer_data.problems import BadInput
from mer_data.sheets import read_bare
from orchestrator.experiment import config
from orchestrator.experiment.plan import Plan
from orchestrator.output.weights import read_card
from orchestrator.published_weights import read_checkpoint
import mer_models.reference, numpy, torch
read = {
    "sheet": read_bare,
    "frame": lambda path: decode(frame_bytes(path), str(path)),
    "experiment": lambda path: config.load(str(path)),
    "checkpoint": read_checkpoint,
    "weights": read_card,
    "plan": Plan.load,
}[sys.argv[1]]
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, start, said = memory(), time.process_time(), None
try:
    read(Path(sys.argv[2]))
except BadInput as error:
    said = str(error)
print(json.dumps([time.process_time() - start, memory() - before, said]))
"""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(path: Path) -> None:
    """20,000 x 20,000 pixels of one colour."""
    rows = zlib.compress(bytes(20_001 * 200), 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def jpeg(path: Path) -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 20_000, 20_000, 1) + b"\x01\x11\x00"
    path.write_bytes(b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"xx" + frame + bytes(1000) + b"\xff\xd9")


def bmp(path: Path) -> None:
    path.write_bytes(b"BM" + bytes(16) + struct.pack("<ii", 20_000, -20_000) + bytes(1000))


def stray(path: Path) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Subject", "Filename"])
        sheet.write_string(1_048_575, 16_383, "x")


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", bytes(500_000_000))


def lying_zip(path: Path) -> None:
    """A zip whose list says 100 bytes of an entry that has many."""
    zip_bomb(path)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 500_000_000), struct.pack("<I", 100)))


def commas(path: Path) -> None:
    path.write_bytes(b"," * (15 << 20))


def aliases(path: Path) -> None:
    """Ten lines that stand for ten thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path.write_text("name: t\ndatasets: [b]\nmodels: [majority]\n" + "\n".join(lines) + "\n")


def merges(path: Path) -> None:
    """The same with merge keys, which the parser writes out while it builds mappings."""
    lines = ["a0: &a0 {x: 1, y: 2, z: 3}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    path.write_text("\n".join(lines) + "\n")


def large_text(path: Path) -> None:
    path.write_text("a: b\n" * 2_000_000)


def deep(path: Path) -> None:
    path.write_text("[" * 200_000)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def header(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def sparse(path: Path) -> None:
    """A terabyte on no disk."""
    with path.open("wb") as file:
        file.truncate(2**40)


LARGE: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "a picture in PNG": ("frame", "img1.png", png, "is 20000x20000"),
    "a picture in JPEG": ("frame", "img1.jpg", jpeg, "is 20000x20000"),
    "a picture in BMP": ("frame", "img1.bmp", bmp, "is 20000x20000"),
    "a picture of a terabyte": ("frame", "img1.bmp", sparse, "more than any frame"),
    "a pipe as a frame": ("frame", "img1.bmp", fifo, "is a pipe"),
    "a stray cell": ("sheet", "a.xlsx", stray, "row 1048576 and one in column 16384"),
    "a zip bomb": ("sheet", "a.xlsx", zip_bomb, "would have 500,000,000 unpacked"),
    "a zip that lies": ("sheet", "a.xlsx", lying_zip, "zip is damaged"),
    "a table of commas": ("sheet", "a.csv", commas, "cells"),
    "a sheet of a terabyte": ("sheet", "a.csv", sparse, "more than any sheet"),
    "a pipe as a sheet": ("sheet", "a.csv", fifo, "is a pipe"),
    "aliases": ("experiment", "x.yaml", aliases, "aliases"),
    "merges": ("experiment", "x.yaml", merges, "aliases"),
    "a long experiment": ("experiment", "x.yaml", large_text, "letters"),
    "an experiment of a terabyte": ("experiment", "x.yaml", sparse, "letters"),
    "a deep experiment": ("experiment", "x.yaml", deep, "is not YAML"),
    "deep JSON": ("plan", "plan.json", deep, "nested too deep"),
    "a pipe as a plan": ("plan", "plan.json", fifo, "is a pipe"),
    "a header of exabytes": ("weights", "x.safetensors", header, "cut off"),
    "a pipe as weights": ("weights", "x.safetensors", fifo, "is a pipe"),
    "a checkpoint of a terabyte": ("checkpoint", "x.pth", sparse, "not a whole PyTorch checkpoint"),
    "a packed checkpoint": ("checkpoint", "x.pth", zip_bomb, "other things than a checkpoint"),
}


@pytest.mark.fault
@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_at_once(tmp_path: Path, name: str) -> None:
    kind, file, write, says = LARGE[name]
    write(tmp_path / file)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, kind, str(tmp_path / file)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    seconds, megabytes, said = json.loads(done.stdout.splitlines()[-1])
    assert said is not None
    assert says in said
    assert str(tmp_path / file) in said
    assert len(said.splitlines()) == 1
    assert seconds < 2
    assert megabytes < 300


def test_pictures_of_usual_sizes_are_read(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    for name in ("img1.png", "img2.jpg", "img3.bmp"):
        cv2.imwrite(str(tmp_path / name), np.zeros((1080, 1920, 3), np.uint8))
    for path in list_frames(tmp_path).values():
        assert decode(frame_bytes(path), str(path)).shape == (1080, 1920, 3)


def test_a_pipe_among_frames_is_told_by_the_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "img1.jpg")
    with pytest.raises(BadInput, match=r"img1\.jpg: is no file"):
        list_frames(tmp_path)


def test_cells_that_are_only_coloured_do_no_harm(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        sheet, colour = book.add_worksheet(), book.add_format({"bg_color": "red"})
        sheet.write_row(0, 0, ["Subject", "Filename"])
        sheet.write_row(1, 0, ["sub01", "EP01"])
        sheet.write_blank(1_048_575, 16_383, None, colour)
    assert [row for _, row in read_bare(tmp_path / "a.xlsx")[0].rows] == [("Subject", "Filename"), ("sub01", "EP01")]


def test_a_few_aliases_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: t\ndatasets: &d [b]\nmodels: [majority]\nseeds: &s [1, 2]\n")
    assert config.load(str(tmp_path / "x.yaml")).seeds == [1, 2]
    lists = ["&a [1]", *(f"&{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in pairwise("abcdef"))]
    with pytest.raises(BadInput, match=r"--set seeds=.*, the value: has more than"):
        config.load(str(tmp_path / "x.yaml"), [f"seeds=[{', '.join(lists)}]"])


@pytest.mark.parametrize(
    "source",
    ["import sys\nsys.exit(3)\n", "raise SystemExit\n", "exit()\n", "quit('bye')\n"],
)
def test_a_model_file_that_ends_the_program_is_told(tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.py").write_text(f"{source}\n# {tmp_path}\n")
    with pytest.raises((BadInput, BrokenModelFile), match=r"mine\.py, line \d.*SystemExit"):
        user_models.load([tmp_path / "mine.py"])


def test_a_network_that_ends_the_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(
        "import sys\nfrom mer_models.spec import InputSpec, ModelSpec, Recipe, register\n"
        "from mer_models.train import fit\n"
        "register(ModelSpec(name='ends', paper='none', recipe=Recipe(epochs=1), fit=fit,\n"
        "    build=lambda classes: sys.exit(0), inputs=(InputSpec('flow_uvs_28', ('u', 'v', 'strain'), (28, 28)),)))\n"
    )
    with pytest.raises(BadInput, match="SystemExit"):
        user_models.load([tmp_path / "ends.py"])
