"""A programme that people measure a part of, or all of: what they see, count, and measure with an instrument."""

import base64
import json
from typing import Any

from lab_server import LabServer
from lab_world import basic, submission

from lab_inventory.lab import Calibration
from lab_inventory.measurement import Unit
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.prompt import MeasuredByHand

MIXED, BY_HAND = "ip-phone-mixed", "ip-phone-by-hand"
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 90"><rect x="10" y="10" width="60" height="70"
fill="none" stroke="black"/><circle cx="150" cy="45" r="12"/><text x="95" y="50">1 m</text></svg>"""
PICTURE = "data:image/svg+xml;base64," + base64.b64encode(SVG.encode()).decode()
_SOURCE = {"source": {"text": "our own", "mark": "our-choice"}}


def by_hand(**change: Any) -> dict[str, Any]:
    """A manual requirement of two quantities: one is measured with an instrument, one is seen."""
    levels = [level.id for level in basic().levels]

    def limits(limit: dict[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(levels, limit | _SOURCE)

    return {
        "id": "M-1",
        "title": "The ringer is heard",
        "criterion": "quality",
        "instructions": "Put the phone on the table, stand one metre away and let it ring.",
        "profiles": ["digital"],
        "checks": [
            {"quantity": "ringer", "unit": "dB(A)", "limits": limits({"min": 60})},
            {"quantity": "lamp_blinks", "unit": "bool", "limits": limits({"equals": True})},
        ],
        **change,
    }


def mixed(*, granting: bool = False, **change: Any) -> Programme:
    """The basic programme and one requirement that people measure; ``change``: of that."""
    fields = json.loads(basic().model_dump_json(exclude_none=True))
    more = {"id": MIXED, "demonstration": not granting, "requirements": [*fields["requirements"], by_hand(**change)]}
    return Programme.model_validate(fields | more)


def throughout(**change: Any) -> Programme:
    """The basic programme without what procedures measure."""
    fields = json.loads(mixed(**change).model_dump_json(exclude_none=True))
    fields |= {"id": BY_HAND, "suites": [], "requirements": fields["requirements"][-1:]}
    for feature in fields["proforma"]["features"]:
        feature.pop("seen_by", None)
    return Programme.model_validate(fields)


def measured(ringer: float = 70.0, *, blinks: bool = True, **change: Any) -> tuple[MeasuredByHand, ...]:
    """What somebody measured: well, but for what is given."""
    meter = {
        "quantity": "ringer",
        "unit": Unit.DBA,
        "value": ringer,
        "uncertainty": 1.0,
        "instrument": "meter-1",
        "calibration": Calibration(method="certificate 17"),
        **change,
    }
    lamp = MeasuredByHand(quantity="lamp_blinks", unit=Unit.BOOL, value=blinks)
    return MeasuredByHand.model_validate(meter), lamp


def as_json(*given: MeasuredByHand) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in given or measured()]


async def submit(server: LabServer, programme: Programme, key: str = "key-1") -> str:
    """A submission of a programme, which the server then offers; its submission."""
    server.parts.desk.keep_programmes([*shipped_programmes(), programme])
    content = json.loads(submission().model_dump_json())
    body = {"title": "a batch", "programme": programme.id, "submissions": [content]}
    answer = await server.operator.post("/v1/batches", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["submissions"][0])


async def only_prompt(server: LabServer) -> str:
    """The one prompt that waits for somebody."""
    (row,) = (await server.operator.get("/v1/prompts")).json()
    return str(row["prompt"])
