"""Variables of the environment: refused before anything runs, and never shown with a secret."""

import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardproof.cli import check
from cardproof.recipe.environment import VariableError, check_environment, save_seconds
from tests.conftest import ROOT

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2",
    "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CARDPROOF_SAVE_SECONDS", "nan", "'nan' must be a number of seconds, 0 or more"),
        ("CARDPROOF_SAVE_SECONDS", "-1", "'-1' must be a number of seconds"),
        ("CARDPROOF_SAVE_SECONDS", "often", "'often' must be a number of seconds"),
        ("HF_HUB_ETAG_TIMEOUT", "10s", "'10s' must be a whole number of seconds"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5", "'1.5' must be a whole number of seconds"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-1", "'-1' must be a whole number of seconds"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "9" * 5000, "must be a whole number of seconds"),
        ("HF_ENDPOINT", "huggingface.co", "must begin with http:// or https:// and name a host"),
        ("HF_ENDPOINT", "ftp://hub", "must begin with http:// or https://"),
        ("HF_ENDPOINT", "https://", "name a host"),
        ("HF_ENDPOINT", "https://hub:port", "its port is none from 1 to 65535"),
        ("HF_ENDPOINT", "https://hub:70000", "its port is none from 1 to 65535"),
        ("HF_ENDPOINT", "https://[::1", "is no address"),
        ("HF_ENDPOINT", "https://hub/a b", "without blanks"),
        ("HF_ENDPOINT", "https://me:secret@hub", "must not hold a user name, a password"),
        ("HF_ENDPOINT", "https://hub?token=secret", "must not hold a user name, a password"),
        ("https_proxy", "foo://me:secret@proxy", "must begin with http:// or https:// or socks5"),
        ("HTTP_PROXY", "http://me:secret@proxy:99999", "its port is none"),
        ("HF_TOKEN", "hf_secrét", "holds a blank or what is not plain ASCII"),
        ("HUGGING_FACE_HUB_TOKEN", "hf_secret hf_secret", "holds a blank"),
        ("HF_TOKEN", "hf_secret\nX-Header: 1", "holds a blank or what is not plain ASCII"),
        ("HF_HOME", "~nosuchuser/hf", "'~nosuchuser/hf': there is no such user"),
        ("CARDPROOF_MIRROR", "~nosuchuser/", "'~nosuchuser/': no such folder; name one, or unset"),
        ("CARDPROOF_MIRROR", "/no/such/folder", "'/no/such/folder': no such folder; name one"),
        ("CARDPROOF_MIRROR", "https://hub.example", "no such folder"),
        ("CARDPROOF_MIRROR", "a\0b", "no such folder"),
        ("CARDPROOF_MIRROR", "a" * 5000, "no such folder"),
        ("CARDPROOF_MIROR", "/mirror", "no such variable; did you mean CARDPROOF_MIRROR?"),
        ("WORLD_SIZE", "2", "torchrun did not set it; unset it; train.processes says"),
        ("LOCAL_RANK", "0", "torchrun did not set it; unset it"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_without_a_secret(
    name: str, value: str, words: str
) -> None:
    with pytest.raises(VariableError) as caught:
        check_environment({name: value})
    first, line = str(caught.value).splitlines()
    assert first == "1 fault in the environment. Nothing was run."
    assert line.startswith(f"  {name}: ")
    assert words in line
    assert "secr" not in line
    assert len(line) < 250


def test_what_works_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    for variables in (
        {},
        {"HF_ENDPOINT": "", "HF_TOKEN": "", "HF_HUB_ETAG_TIMEOUT": ""},
        {"HF_ENDPOINT": "https://hub.example/sub", "HF_HUB_ETAG_TIMEOUT": "30"},
        {"HF_ENDPOINT": "http://127.0.0.1:8080/", "HF_TOKEN": "hf_of_this_test\n"},
        {"HTTPS_PROXY": "http://me:secret@proxy:3128", "all_proxy": "socks5h://[::1]:1080"},
        {"http_proxy": "proxy:3128"},
        {"HF_HOME": "~/hf", "CARDPROOF_MIRROR": str(tmp_path), "CARDPROOF_SAVE_SECONDS": "inf"},
        {"CARDPROOF_MIRROR": "mirror", "DVC_ROOT": str(tmp_path)},  # of a queued run
        TORCHRUN,
    ):
        check_environment(variables)


def test_torchruns_own_variables_must_be_whole() -> None:
    without = {name: value for name, value in TORCHRUN.items() if name != "RANK"}
    for variables in (without, TORCHRUN | {"RANK": "x"}):
        with pytest.raises(VariableError, match="RANK: is no whole number, though TORCHELASTIC"):
            check_environment(variables)


def test_the_seconds_between_checkpoints() -> None:
    assert save_seconds({}) is None
    assert save_seconds({"CARDPROOF_SAVE_SECONDS": "0"}) == 0
    with pytest.raises(VariableError, match="CARDPROOF_SAVE_SECONDS: 'nan' must be"):
        save_seconds({"CARDPROOF_SAVE_SECONDS": "nan"})


def test_it_is_checked_before_dvc_removes_what_a_stage_will_make_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make repro` begins with it: a test of its own says so."""
    monkeypatch.chdir(ROOT)
    assert check.main(["--quiet"]) == 0
    monkeypatch.setenv("CARDPROOF_SAVE_SECONDS", "nan")
    assert check.main(["--quiet"]) == 2
    assert "CARDPROOF_SAVE_SECONDS: 'nan' must be a number" in capsys.readouterr().err


@given(
    name=st.sampled_from(
        ["HF_ENDPOINT", "HTTPS_PROXY", "HF_TOKEN", "HF_HUB_ETAG_TIMEOUT", "HF_HOME",
         "CARDPROOF_SAVE_SECONDS", "CARDPROOF_MIRROR", "RANK", "TORCHELASTIC_RUN_ID"]
    ),
    value=st.text() | st.text(alphabet=string.punctuation + "htps:/0123456789[]@é"),
)  # fmt: skip
@example(name="HF_ENDPOINT", value="http://[")
@example(name="HF_ENDPOINT", value="http://\u2100")
@example(name="CARDPROOF_SAVE_SECONDS", value="٣")
def test_any_value_passes_or_is_refused(name: str, value: str) -> None:
    try:
        check_environment({name: value})
    except VariableError as error:
        assert name in str(error) or name == "TORCHELASTIC_RUN_ID"
