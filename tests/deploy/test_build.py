"""A build with another package in it, as the driver of a phone; without pip and hosts."""

from pathlib import Path

import pytest

from deploy.build import Dependencies, make_build, read_build
from lab_inventory.errors import BadInput


def made(folder: Path, *also: str) -> Path:
    wheel = folder / "assay_lab-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    (folder / "constraints.txt").write_text("")
    others = [folder / name for name in also]
    return make_build(wheel, folder / "out", folder / "constraints.txt", Dependencies.HOST, others)[0]


def test_a_driver_goes_into_the_build_and_into_its_name(tmp_path: Path) -> None:
    (tmp_path / "acme-0.1-py3-none-any.whl").write_bytes(b"a driver")
    without, with_driver = made(tmp_path), made(tmp_path, "acme-0.1-py3-none-any.whl")
    assert without != with_driver
    assert read_build(without).also == ()
    assert read_build(with_driver).also == ("acme-0.1-py3-none-any.whl",)
    assert "also" not in (without / "manifest.json").read_text()


@pytest.mark.parametrize("name", ["missing-0.1-py3-none-any.whl", "acme.py"])
def test_what_is_no_wheel_is_refused_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / "acme.py").write_text("")
    with pytest.raises(BadInput, match="is no wheel; make one with 'pip wheel --no-deps'"):
        made(tmp_path, name)
