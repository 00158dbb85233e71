"""The rollout file: what is taken, and what is refused with its place; hostile names first of all."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.rollout_file import Rollout, SupervisorName, read_rollout
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.lab import read_lab
from orchestrator.lab_ca import make

LAB = read_lab(Path(__file__).parents[2] / "deploy/demo/lab.yaml")
HOST = {"name": "demo-host", "address": "10.0.0.11"}


def content(**change: Any) -> dict[str, Any]:
    ssh = {"key_file": "key", "known_hosts": "known_hosts"}
    return {"server": "https://10.0.0.1:8470", "build": "builds/one", "ssh": ssh, "hosts": [HOST]} | change


def read(folder: Path, **change: Any) -> Rollout:
    path = folder / "rollout.yaml"
    path.write_text(yaml.safe_dump(content(**change)))
    return read_rollout(path, LAB)


def test_paths_are_relative_to_the_file_and_the_rest_has_careful_defaults(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.ssh.key_file == tmp_path / "key"
    assert found.build == tmp_path / "builds/one"
    assert found.agent.supervisor is SupervisorName.SYSTEMD
    assert (found.limits.out_of_service, found.limits.failures, found.ssh.port) == (1, 1, 22)


HOSTILE = ["a;reboot", "$(reboot)", "`id`", "a b", "-oProxyCommand=x", "a\nb", "a'b", "a|b", "../a", "a&b", "ä", ""]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["name", "address", "user"])
def test_a_host_with_characters_of_a_shell_is_refused_with_its_place(tmp_path: Path, field: str, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, hosts=[HOST | {field: text}])
    assert [problem.path for problem in refused.value.problems] == [f"hosts[0].{field}"]
    assert refused.value.problems[0].line is not None or "\n" in text


@pytest.mark.parametrize(
    "text", [*HOSTILE, "relative", "/", "/opt/../etc", "/opt/", "/opt//a", "/opt/$HOME", "/opt/a b"]
)
@pytest.mark.parametrize("field", ["install_dir", "work_dir", "ca_file"])
def test_a_path_that_is_not_plain_and_absolute_is_refused(tmp_path: Path, field: str, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, agent={field: text})
    assert f"agent.{field}" in {problem.path for problem in refused.value.problems}


@pytest.mark.parametrize("text", [*(text for text in HOSTILE if text != "../a"), "-c"])
def test_a_python_that_is_more_than_a_path_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, agent={"python": text})


@pytest.mark.parametrize("text", ["ftp://a", "http://a/b", "http://a;b", "http://$(id)", "http://a b", "http://u@h"])
def test_a_server_that_is_no_plain_address_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, server=text)
    assert [problem.path for problem in refused.value.problems] == ["server"]


def test_directories_in_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lie in each other"):
        read(tmp_path, agent={"install_dir": "/opt/a", "work_dir": "/opt/a/work"})


def test_a_host_that_the_lab_file_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"hosts\[0\]\.name: is 'other'; expected a host of lab demo: demo-host"):
        read(tmp_path, hosts=[HOST | {"name": "other"}])


def test_a_host_or_an_address_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="host demo-host stands more than once"):
        read(tmp_path, hosts=[HOST, HOST | {"address": "10.0.0.12"}])
    with pytest.raises(BadInput, match=r"address 10\.0\.0\.11 port 22 stands more than once"):
        read(tmp_path, hosts=[HOST, HOST | {"name": "second"}])


def test_pinning_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ssh\.known_hosts .*: is missing"):
        read(tmp_path, ssh={"key_file": "key"})
    with pytest.raises(BadInput, match=r"ssh\.strict_host_key_checking .*: is not a field here"):
        read(tmp_path, ssh={"key_file": "key", "known_hosts": "k", "strict_host_key_checking": False})


def test_a_ca_is_read_with_the_file_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", ["10.0.0.1"], SystemClock().now())
    found = read(tmp_path, ca="tls/lab-ca.pem")
    assert found.ca_certificates == files.ca.read_text()
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(BadInput, match="has no certificate in it"):
        read(tmp_path, ca="none.pem")
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read(tmp_path, ca="missing.pem")
    with pytest.raises(BadInput, match=r"ca and agent\.ca_file both stand there"):
        read(tmp_path, ca="tls/lab-ca.pem", agent={"ca_file": "/etc/ca.pem"})


def test_plain_http_to_another_machine_is_refused_unless_its_network_is_said_to_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is plain http to another machine: secrets would go over the wire in the clear"):
        read(tmp_path, server="http://10.0.0.1:8470")
    assert read(tmp_path, server="http://10.0.0.1:8470", agent={"trusted_network": True}).agent.trusted_network
    with pytest.raises(BadInput, match="is not https, so ca says nothing"):
        read(tmp_path, server="http://10.0.0.1:8470", ca="x.pem", agent={"trusted_network": True})
