"""Folders in object storage, whose files are copied to a folder of this machine and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pyarrow import fs

from mer_data.files import written_aside
from mer_data.hashing import digest
from mer_data.problems import BadInput, Problem


def is_remote(root: str) -> bool:
    """Whether a folder's name is that of one in object storage, as ``s3://bucket/folder`` is."""
    return "://" in root


def cache_folder(uri: str) -> Path:
    """Where the files of a remote folder lie on this machine: under ``MER_CACHE``, else ``~/.cache/mer``."""
    base = os.environ.get("MER_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "mer") / digest(uri)[:16]


Stamp = tuple[int, int]  # size in bytes, and time of change in whole seconds: some servers tell no more


def _stamp(info: fs.FileInfo) -> Stamp:
    return info.size, int(info.mtime_ns // 1_000_000_000)


class Remote:
    """Files under a URI, and their copies in a folder.

    Parameters
    ----------
    uri
        Any URI that Arrow knows: ``s3://bucket/folder``, ``gs://...``. A server of one's own is named by
        ``?endpoint_override=HOST:PORT&scheme=http``; credentials come from the environment (``AWS_ACCESS_KEY_ID``...).
    folder
        The copies.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri, self._folder = uri, folder
        # Without this, Arrow takes three requests to write a small object.
        one_request = ("&" if "?" in uri else "?") + "allow_delayed_open=true" if uri.startswith("s3://") else ""
        with self._told():
            self._fs, base = fs.FileSystem.from_uri(uri + one_request)
        self._base = PurePosixPath(base)
        self._made: set[str] = set()

    def files(self, relative: str) -> list[str]:
        """Names of the files directly below a folder, sorted."""
        return sorted(entry.base_name for entry in self._list(relative) if entry.type == fs.FileType.File)

    def folders(self, relative: str = "") -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        return sorted(entry.base_name for entry in self._list(relative) if entry.type == fs.FileType.Directory)

    def _list(self, relative: str) -> list[fs.FileInfo]:
        with self._told():
            return list(self._fs.get_file_info(fs.FileSelector(self._at(relative), allow_not_found=True)))

    def has(self, relative: str) -> bool:
        """Whether there is such a file."""
        with self._told():
            return bool(self._fs.get_file_info(self._at(relative)).type == fs.FileType.File)

    def stamps(self) -> dict[str, Stamp]:
        """Every file below the folder."""
        with self._told():
            found = self._fs.get_file_info(fs.FileSelector(str(self._base), allow_not_found=True, recursive=True))
        # An object whose name is a path out of the folder is not ours to copy anywhere.
        files = {os.path.relpath(entry.path, self._base): entry for entry in found if entry.type == fs.FileType.File}
        return {name: _stamp(entry) for name, entry in files.items() if not name.startswith("..")}

    def stamp(self, relative: str) -> Stamp:
        """A file's size and time of change; raises FileNotFoundError if there is none."""
        with self._told():
            info = self._fs.get_file_info(self._at(relative))
        if info.type != fs.FileType.File:
            raise FileNotFoundError(self._at(relative))
        return _stamp(info)

    def read(self, relative: str) -> bytes | None:
        """The bytes of a small file; None if there is none."""
        try:
            with self._told(), self._fs.open_input_stream(self._at(relative)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, relative: str, content: bytes) -> None:
        """Write a small file there, as :meth:`push` does."""
        with self._told():
            self._make_parent(relative)
            with self._fs.open_output_stream(self._at(relative)) as stream:
                stream.write(content)

    def fetch(self, relative: str) -> None:
        """Copy a file here, aside and renamed: processes of one machine may do it at the same time."""
        with written_aside(self._folder / relative) as aside, self._told():
            fs.copy_files(self._at(relative), str(aside), self._fs, fs.LocalFileSystem())

    def push(self, relative: str) -> None:
        """Copy a file there. Object storage shows the old object or the new one, never half of it."""
        with self._told():
            self._make_parent(relative)
            fs.copy_files(str(self._folder / relative), self._at(relative), fs.LocalFileSystem(), self._fs)

    def delete(self, relative: str) -> None:
        """Remove a file or a folder there; one that is not there is no error."""
        self._made.clear()
        with self._told():
            info = self._fs.get_file_info(self._at(relative))
            if info.type == fs.FileType.Directory:
                self._fs.delete_dir(self._at(relative))
            elif info.type == fs.FileType.File:
                self._fs.delete_file(self._at(relative))

    def _make_parent(self, relative: str) -> None:
        parent = str(PurePosixPath(self._at(relative)).parent)
        if parent not in self._made:  # in object storage it takes a request for each level
            self._fs.create_dir(parent)
            self._made.add(parent)

    def _at(self, relative: str) -> str:
        return str(self._base / relative)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what object storage complains of into one message; a missing file stays what it is."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            what = str(error).strip().splitlines()[0]
            remedy = "check the address, the credentials (AWS_ACCESS_KEY_ID, ...) and the network"
            raise BadInput(Problem(self.uri, what, remedy)) from error
