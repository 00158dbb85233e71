"""What the head of a cluster is started with, and why it is not. That it works: tests/cluster."""

import socket
from pathlib import Path

import pytest

from lab_inventory.errors import BadInput
from orchestrator.cli.ray_head import _leave_only_this, head_command, head_environment
from orchestrator.settings import Settings
from tests.ports import free_port


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0o600)
    return path


def test_a_head_is_where_the_settings_say_and_runs_nothing_itself(tmp_path: Path, token: Path) -> None:
    port = free_port()
    settings = Settings(data=tmp_path, ray_address=f"127.0.0.1:{port}", ray_token_file=token)
    command = head_command(settings, tmp_path / "r")
    assert {"--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=0", "--block"} <= set(command)


def test_what_a_head_knows_is_kept_under_the_data_directory(tmp_path: Path, token: Path) -> None:
    environment = head_environment(Settings(data=tmp_path, ray_token_file=token), None)
    assert environment["RAY_gcs_storage_path"] == str(tmp_path / "ray-head")
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(token)
    assert environment["RAY_health_check_failure_threshold"] == "3"


def test_with_a_redis_it_is_kept_there(tmp_path: Path, token: Path) -> None:
    environment = head_environment(Settings(data=tmp_path, ray_token_file=token), "10.0.0.5:6380")
    assert environment["RAY_REDIS_ADDRESS"] == "10.0.0.5:6380"
    assert "RAY_gcs_storage" not in environment


def test_a_head_without_an_address_is_refused(tmp_path: Path, token: Path) -> None:
    with pytest.raises(BadInput, match="ASSAY_RAY_ADDRESS"):
        head_command(Settings(data=tmp_path, ray_token_file=token), tmp_path)


def test_a_head_that_is_open_to_everybody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ASSAY_RAY_TOKEN_FILE"):
        head_command(Settings(data=tmp_path, ray_address="127.0.0.1:6379"), tmp_path)


def test_a_token_that_others_may_read_is_refused(tmp_path: Path, token: Path) -> None:
    token.chmod(0o640)
    with pytest.raises(BadInput, match="others may read"):
        head_command(Settings(data=tmp_path, ray_address="127.0.0.1:6379", ray_token_file=token), tmp_path)


def test_an_address_that_is_taken_is_refused(tmp_path: Path, token: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BadInput, match="no other head there"):
            head_command(Settings(data=tmp_path, ray_address=address, ray_token_file=token), tmp_path)


def test_of_the_folder_only_what_earlier_heads_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "session_1/logs").mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_1")
    (tmp_path / "kept").write_text("mine")
    _leave_only_this(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
