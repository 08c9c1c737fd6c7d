"""Imports that leave out what they may, and the collector as it was."""

import gc

import pytest

from cardproof.imports import quick_imports


def test_garbage_is_searched_for_again_after_an_import_that_fails() -> None:
    held = gc.get_freeze_count()
    try:
        with pytest.raises(ImportError), quick_imports():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled()
        assert gc.get_freeze_count() > held, "what was imported stays out of later searches"
    finally:
        gc.unfreeze()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
