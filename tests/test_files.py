"""Files and folders that appear whole or not at all."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cardproof.files import (
    FilesError,
    replace_folder,
    working_folder,
    write_json,
    write_text_atomic,
)
from tests.conftest import assert_untouched


def test_folders_put_in_one_place_at_once_are_each_whole(tmp_path: Path) -> None:
    final = tmp_path / "data"

    def put(name: str) -> list[str]:
        faults = []
        for _ in range(60):
            try:
                with working_folder(final) as work:
                    (work / "a").write_text(name)
                    (work / "b").write_text(name)
            except OSError as error:
                faults.append(repr(error))
        return faults

    with ThreadPoolExecutor(4) as pool:
        assert [fault for faults in pool.map(put, "wxyz") for fault in faults] == []
    assert (final / "a").read_text() == (final / "b").read_text()
    assert list(tmp_path.iterdir()) == [final]


def test_working_folder_is_all_or_nothing(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), working_folder(folder) as work:
        (work / "half.txt").write_text("half")
        raise KeyboardInterrupt
    assert_untouched(folder)
    with pytest.raises(FilesError, match="move it away"), working_folder(folder / "old.txt"):
        pass
    assert_untouched(folder)
    with pytest.raises(FileNotFoundError):
        replace_folder(folder.parent / "absent", folder)
    assert_untouched(folder)
    link = folder.parent / "link"
    link.symlink_to(folder.parent / "nothing")
    with pytest.raises(FilesError, match="move it away"), working_folder(link):
        pass
    link.unlink()
    assert_untouched(folder)


def test_atomic_text_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    cached, link = tmp_path / "cached", tmp_path / "link"
    cached.write_text("kept")
    link.symlink_to(cached)
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(link, "\ud800")
    write_text_atomic(link, "new")
    assert (link.read_text(), cached.read_text()) == ("new", "kept")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cached", "link"]


def test_what_is_renamed_is_on_the_disk_before_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No power is cut here: what is checked is what the system is asked for, in which order."""
    asked: list[int | str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        asked.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def note_rename(path: Path, target: Path) -> Path:
        asked.append("rename")
        return rename(path, target)

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, note_rename)
    monkeypatch.setattr(os, "fsync", note_sync)
    with working_folder(tmp_path / "data") as work:
        (work / "in").mkdir()
        (work / "in/a").write_text("a")
        inside = {path.stat().st_ino for path in (work, work / "in", work / "in/a")}
    first = asked.index("rename")
    assert set(asked[:first]) == inside
    assert asked[first:][-1] == tmp_path.stat().st_ino
    asked.clear()
    write_text_atomic(tmp_path / "data/b", "b")
    file, folder = (tmp_path / "data/b").stat().st_ino, (tmp_path / "data").stat().st_ino
    assert asked == [file, "rename", folder]


def test_json_is_flat_finite_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.json"
    write_json(path, {"b": 0.5, "a": None, "c": "é", "d": True})
    text = path.read_text(encoding="utf-8")
    assert text == '{\n  "b": 0.5,\n  "a": null,\n  "c": "é",\n  "d": true\n}\n'
    for bad in (float("nan"), float("-inf")):
        with pytest.raises(FilesError, match="loss is"):
            write_json(path, {"loss": bad})
    assert json.loads(path.read_text(encoding="utf-8"))["b"] == 0.5
