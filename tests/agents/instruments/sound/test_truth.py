from pathlib import Path

from tests.agents.instruments.sound.truth import rows, table


def test_what_is_built_into_a_call_comes_back_within_the_stated_uncertainty(material: Path) -> None:
    found = list(rows(material))

    print(table(found))
    assert len(found) > 70
    assert [row for row in found if not row.holds] == []
