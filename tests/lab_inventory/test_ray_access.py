"""How a process gets into a Ray cluster, and what Ray's refusals mean. The texts are Ray's own (2.60)."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lab_inventory.ray_access import RayAccess, what_ray_means

WRONG_TOKEN = (
    "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: Authentication token is missing or incorrect."
)
SILENT = "ray.exceptions.RpcError: Timed out while waiting for GCS to become available."
VERSIONS = """RuntimeError: Version mismatch: The cluster was started with:
    Ray: 2.60.0
    Python: 3.11.7
This process on node 10.77.0.11 was started with:
    Ray: 2.59.0
    Python: 3.11.2
"""


def secret(folder: Path, text: str = "token", mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_token_file_the_authentication_is_as_the_environment_says_else_off() -> None:
    assert RayAccess().environment({"PATH": "/bin", "ASSAY_X": "secret"}) == {
        "PATH": "/bin",
        "RAY_AUTH_MODE": "disabled",
    }
    assert RayAccess().environment({"RAY_AUTH_MODE": "token"})["RAY_AUTH_MODE"] == "token"


def test_a_token_file_takes_the_place_of_whatever_the_environment_says(tmp_path: Path) -> None:
    surrounding = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "another"}
    path = secret(tmp_path)
    expected = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}
    assert RayAccess(token_file=path).environment(surrounding) == expected


def test_tls_is_given_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="three files"):
        RayAccess(tls_cert=tmp_path / "c")
    whole = RayAccess(tls_cert=tmp_path / "c", tls_key=tmp_path / "k", tls_ca=tmp_path / "a").environment({})
    assert whole["RAY_USE_TLS"] == "1"
    assert whole["RAY_TLS_CA_CERT"] == str(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "mode", "wrong"), [("token", 0o644, "others may read"), (" ", 0o600, "is empty"), ("token", 0o600, "")]
)
def test_a_token_file_that_cannot_be_used_is_told(tmp_path: Path, text: str, mode: int, wrong: str) -> None:
    told = RayAccess(token_file=secret(tmp_path, text, mode)).unusable()
    assert wrong in told
    assert bool(told) is bool(wrong)


def test_a_token_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "is not there" in RayAccess(token_file=tmp_path / "none").unusable()


@pytest.mark.parametrize(
    ("said", "with_token", "meaning"),
    [
        (WRONG_TOKEN, True, "does not take the token in /t"),
        (WRONG_TOKEN, False, "wants a token, and no token file is set here"),
        (SILENT, True, "without TLS here; is the head's on?"),
        (VERSIONS, True, "has Ray 2.60.0 with Python 3.11.7, here are Ray 2.59.0 with Python 3.11.2"),
    ],
)
def test_what_ray_says_is_put_into_words_for_operators(said: str, with_token: bool, meaning: str) -> None:
    access = RayAccess(token_file=Path("/t")) if with_token else RayAccess()
    assert meaning in what_ray_means(said, address="10.77.0.1:6379", access=access)


def test_what_is_not_known_is_not_explained() -> None:
    assert what_ray_means("Segmentation fault", address="h:1", access=RayAccess()) == ""
