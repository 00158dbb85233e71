"""The lab file: what is taken, and how mistakes in it are told."""

from pathlib import Path

import pytest

from lab_inventory.errors import BadInput, InvariantBroken, TooLarge
from lab_inventory.lab import Lab, read_lab
from lab_inventory.reading import YAML_BYTES_MAX

LAB = """\
lab: demo
site: here
hosts:
  - name: host-1
    benches:
      - name: bench-1
        instruments:
          - {name: sip, kind: sip-rtp, calibration: {method: self-check}, uncertainty: {ms: 0.5}}
        slots:
          - name: slot-1
            category: ip-phone
            registrar: 127.0.0.1:5171
            account: {user: "1001", password: secret}
            control: 127.0.0.1:5181
            unit: {hardware_revision: A, mode: wideband}
"""


def read(tmp_path: Path, text: str) -> Lab:
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    return read_lab(path)


def test_the_demonstration_lab_is_a_lab() -> None:
    lab = read_lab(Path(__file__).parents[2] / "deploy" / "demo" / "lab.yaml")
    assert [slot.name for _, slot in lab.hosts[0].slots()] == ["slot-1", "slot-2", "slot-3"]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    lab = read(tmp_path, LAB)
    host = lab.host("host-1")
    assert host is not None
    found = host.slot("slot-1")
    assert found is not None
    assert found[1].account.password.get_secret_value() == "secret"
    assert "secret" not in repr(lab)


def test_a_host_may_have_no_bench(tmp_path: Path) -> None:
    lab = read(tmp_path, LAB + "  - name: scorer\n")
    assert [(host.name, len(host.slots())) for host in lab.hosts] == [("host-1", 1), ("scorer", 0)]


def test_a_mistake_is_told_with_file_path_line_and_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, LAB.replace("127.0.0.1:5171", "127.0.0.1"))
    (problem,) = caught.value.problems
    assert "lab.yaml: 1 mistake" in caught.value.detail
    assert problem.path == "hosts[0].benches[0].slots[0].registrar"
    assert problem.line == 12
    assert "'127.0.0.1'" in problem.wrong
    assert "expected text that matches" in str(problem)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, LAB.replace("site: here", "sight: here").replace("kind: sip-rtp, ", ""))
    assert {(problem.path, problem.wrong) for problem in caught.value.problems} == {
        ("site", "is missing"),
        ("sight", "is not a field here"),
        ("hosts[0].benches[0].instruments[0].kind", "is missing"),
    }


def test_two_slots_cannot_share_an_address(tmp_path: Path) -> None:
    slot = LAB[LAB.index("          - name: slot-1") :]
    with pytest.raises(BadInput, match=r"address on host host-1 127\.0\.0\.1:5171, 127\.0\.0\.1:5181 stands more"):
        read(tmp_path, LAB + slot.replace("slot-1", "slot-2"))


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 3"):
        read(tmp_path, "lab: demo\nsite: [\n")


def test_aliases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="alias"):
        read(tmp_path, "lab: &a demo\nsite: *a\n")


def test_tags_build_no_objects(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, "!!python/object/apply:os.getcwd []\n")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.yaml: cannot be read: No such file"):
        read_lab(tmp_path / "absent.yaml")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        read(tmp_path, "#" * (YAML_BYTES_MAX + 1))


def test_deep_nesting_is_refused_and_does_not_crash(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nested deeper than"):
        read(tmp_path, "[" * 20_000)


USB = "            usb: pci-0000:00:14.0-usb-0:1.2\n"
SIP = '            registrar: 127.0.0.1:5171\n            account: {user: "1001", password: secret}\n'


def test_a_slot_may_be_a_usb_port_instead(tmp_path: Path) -> None:
    ((_, slot),) = read(tmp_path, LAB.replace(SIP, USB)).hosts[0].slots()
    assert (slot.usb, slot.registrar) == ("pci-0000:00:14.0-usb-0:1.2", None)
    assert "registrar" not in slot.model_dump(mode="json")
    with pytest.raises(InvariantBroken, match="slot-1 is a USB port"):
        _ = slot.sip


@pytest.mark.parametrize("said", ["", SIP + USB, SIP.splitlines(keepends=True)[0]], ids=["neither", "both", "half"])
def test_a_slot_is_attached_in_one_way_and_wholly(tmp_path: Path, said: str) -> None:
    with pytest.raises(BadInput, match="expected"):
        read(tmp_path, LAB.replace(SIP, said))


def test_two_slots_at_one_usb_port_are_a_mistake(tmp_path: Path) -> None:
    one = LAB.replace(SIP, USB).replace("            control: 127.0.0.1:5181\n", "")
    slot = one[one.index("          - name: slot-1") :]
    with pytest.raises(BadInput, match=r"USB port on host host-1 pci-.* stands more than once"):
        read(tmp_path, one + slot.replace("slot-1", "slot-2"))


def test_the_demonstration_with_a_headset_has_two_hosts() -> None:
    lab = read_lab(Path(__file__).parents[2] / "deploy" / "demo" / "headset" / "lab.yaml")
    assert [(host.name, slot.category) for host in lab.hosts for _, slot in host.slots()] == [
        ("demo-host", "ip-phone"), ("demo-machine", "usb-headset"),
    ]  # fmt: skip
