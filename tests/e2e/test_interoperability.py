"""Two real phones on one bench, of two makes: the batch ends judged, with what both sides said kept as evidence."""

from collections.abc import Callable

from stack import WIDEBAND, Phone, Stack, failed, until

from lab_inventory.shipped import shipped_programmes

PROGRAMME = next(one for one in shipped_programmes() if one.id == "skype-for-business.ip-phone")
ANSWERS = {feature.id: False for feature in PROGRAMME.proforma.features} | WIDEBAND | {"transfer.blind": True}
COMPANION = {"role": "companion", "slot": "slot-02"}


def test_two_phones_call_each_other_through_the_bench_and_the_batch_is_judged(lab: Callable[..., Stack]) -> None:
    dut = Phone()
    stack = lab(dut, Phone(kind="reference", roles=["companion"], revision="B"))
    stack.characterise()
    batch = stack.submit(dut, programme=PROGRAMME.id, ics=ANSWERS, profile="interoperability")
    (run,) = until("the run is placed", lambda: [run for run in stack.runs(batch) if run["device"]])
    (companion,) = run["companions"]
    assert COMPANION.items() <= companion.items()
    assert companion["product"]["model"] == "Reference Phone"
    busy = until(
        "both phones are busy with it",
        lambda: [one for one in stack.call("GET", "/v1/devices") if one["run"] == run["run"]],
        10,
    )
    assert len(busy) == 2

    (judgement,) = stack.judgements(batch, 120).values()
    print(judgement)
    assert failed(judgement) == {}  # attended transfer does not apply to this phone
    assert judgement["earned"] == "certified"
    seen = {requirement["requirement"] for level in judgement["levels"] for requirement in level["requirements"]}
    assert seen == {f"IP-INT-0{number}" for number in range(1, 8)}
    assert "30 runs in" in stack.http.get("/benches/bench-1").text
    page = stack.http.get(f"/batches/{batch}").text
    assert "with the companion Assay Reference Phone 1.0 in slot-02" in page
    reports = stack.call("GET", f"/v1/runs/{run['run']}")["reports"]
    ended = [report["body"] for report in reports if report["body"]["kind"] == "case-ended"]
    assert len(ended) == 6
    for case in ended:
        names = {evidence["name"] for evidence in case["evidence"]}
        assert f"{case['case']} companion SIP messages" in names
    until("both are idle again", lambda: {one["state"] for one in stack.call("GET", "/v1/devices")} == {"idle"}, 60)
