"""The pages: what they show, in which order, and that nothing from outside becomes markup."""

import re
from html.parser import HTMLParser

import httpx
from lab_server import LabServer
from lab_world import lab, registration

from lab_inventory.device import DriverFacts, Product

NOTICE = "DEMONSTRATION, grants nothing."


class Text(HTMLParser):
    """The words of a page as a reader sees them, its tags, and its links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def links(self) -> list[str]:
        return [found["href"] or "" for tag, found in self.tags if tag == "a"]


async def page(server: LabServer, path: str) -> Text:
    """A page, as the operator sees it."""
    async with server.client(server.token) as reader:
        answer = await reader.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return Text(answer.text)


async def test_the_lab_page_shows_devices_batches_and_latest_verdicts_after_the_notice(server: LabServer) -> None:
    await server.measured_batch(ringing_ms=900.0)
    found = await page(server, "/")
    assert "Everything answers." in found.text
    assert re.search(r"a batch completed ip-phone-basic 1\.0 1 of 1", found.text)
    assert re.search(r"phone one works with Acme One 1\.0 wideband certificate", found.text)
    assert re.search(r"Acme One dev-\w+ idle", found.text)
    assert found.text.index(NOTICE) < found.text.index("Everything answers.")


async def test_a_batch_page_says_for_each_level_what_failed_with_value_limit_and_source(server: LabServer) -> None:
    batch = await server.measured_batch(ringing_ms=900.0)
    found = await page(server, f"/batches/{batch['batch']}")
    assert re.search(r"not met Certified: not met", found.text)
    assert "ringing_ms was 900 ms" in found.text
    assert "at most 500 ms" in found.text
    assert "16 of 16" in found.text
    assert "ray-node-1" in found.text
    assert found.text.index(NOTICE) < found.text.index("completed")


async def test_a_waiting_run_says_why_on_its_batch_page(server: LabServer) -> None:
    await server.join()
    batch = (await server.submit()).json()["batch"]
    path = f"/v1/batches/{batch}"
    await server.until(path, lambda found: "waits_because" in found["entries"][0]["runs"][0])
    assert "no unit of Acme One 1.0" in (await page(server, f"/batches/{batch}")).text


async def test_a_submission_page_shows_every_requirement_at_every_level(server: LabServer) -> None:
    batch = await server.measured_batch(hold_offer_valid=False)
    found = await page(server, f"/submissions/{batch['entries'][0]['submission']}")
    assert found.text.count("BP-SIP-03") >= 4  # a row and the level's words, at both levels
    assert "RFC 3264" in found.text
    assert "Not covered:" in found.text


async def test_a_false_declaration_is_shown_with_the_submission_and_in_its_json(server: LabServer) -> None:
    batch = await server.measured_batch(hold_offer_valid=False)
    submission = batch["entries"][0]["submission"]
    words = "hold is declared, and it was not seen: hold_offer_valid was no in every repeat"
    assert words in (await page(server, f"/submissions/{submission}")).text
    (finding,) = (await server.operator.get(f"/v1/submissions/{submission}")).json()["findings"]
    assert (finding["kind"], finding["words"]) == ("declared-not-seen", words)


async def test_the_set_that_is_certified_stands_on_submission_and_certificate(server: LabServer) -> None:
    digest = "sha256:" + "d" * 64
    server.change = {
        "region": "EMEA",
        "components": [{"name": "dongle", "version": "7.1", "digest": digest}],
        "companions": [{"kind": "host", "product": "Acme Two", "version": "3.1"}],
    }
    batch = await server.measured_batch()
    entry = batch["entries"][0]
    for path in (f"/submissions/{entry['submission']}", f"/certificates/{entry['certificate']}"):
        shown = (await page(server, path)).text
        assert f"Region EMEA Firmware of dongle 7.1 {digest} With the host Acme Two 3.1" in shown


async def test_a_submission_page_names_the_rule_of_each_level_and_a_verdict_for_each_criterion(
    server: LabServer,
) -> None:
    batch = await server.measured_batch(hold_offer_valid=False)
    submission = batch["entries"][0]["submission"]
    found = await page(server, f"/submissions/{submission}")
    assert "Decision rule: simple acceptance." in found.text
    assert "Decision rule: guard band." in found.text
    assert "standard met enterprise not met interoperability met quality met" in found.text
    assert "hold_offer_valid was no; yes is asked for (RFC 3264, 8.4: sendonly or inactive)" in found.text
    assert f"{batch['entries'][0]['runs'][0]['run']}, repeat 1" in found.text
    told = (await server.operator.get(f"/v1/submissions/{submission}")).json()["criteria"]
    assert {one["criterion"]: one["met"] for one in told["certified"]} == {
        "standard": True,
        "enterprise": False,
        "interoperability": True,
        "quality": True,
    }


async def test_a_certificate_page_says_what_is_covered_and_gives_the_signed_file(server: LabServer) -> None:
    batch = await server.measured_batch()
    certificate = batch["entries"][0]["certificate"]
    found = await page(server, f"/certificates/{certificate}")
    assert NOTICE in found.text
    assert "Does not cover" in found.text
    link = f"/certificates/{certificate}/file"
    assert link in found.links()
    async with httpx.AsyncClient(base_url=server.address) as reader:
        saved = await reader.get(link)
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.content == (await server.operator.get(f"/v1/certificates/{certificate}")).content


async def test_a_device_page_shows_what_was_run_on_it(server: LabServer) -> None:
    batch = await server.measured_batch()
    (device,) = (await server.operator.get("/v1/devices")).json()
    found = await page(server, f"/devices/{device['device']}")
    assert batch["entries"][0]["runs"][0]["run"] in found.text
    assert "host-1 / slot-1, present" in found.text


async def test_pages_say_that_a_driver_has_never_been_tried_on_a_device(server: LabServer) -> None:
    untried = DriverFacts(version="1.0", tried_on=(), press_timeout_s=5.0)
    batch = await server.measured_batch()
    of_run = await page(server, f"/submissions/{batch['entries'][0]['submission']}")
    assert "Keys: The driver acme does not say on what it was tried." in of_run.text
    await server.heartbeat(registration(driver="yealink").model_copy(update={"driver_facts": untried}))
    (device,) = (await server.operator.get("/v1/devices")).json()
    of_device = await page(server, f"/devices/{device['device']}")
    assert "The driver yealink 1.0 has never been tried on a device." in of_device.text


async def test_what_a_phone_or_an_operator_says_never_becomes_markup(server: LabServer) -> None:
    evil = "<script>alert(1)</script>"
    product = Product(maker=evil, model='"><img src=x onerror=alert(1)>', firmware=evil)
    hostile = registration().model_copy(update={"product": product, "user_agent": evil})
    await server.join()
    await server.heartbeat(hostile)
    batch = (await server.submit(evil)).json()["batch"]
    (device,) = (await server.operator.get("/v1/devices")).json()
    await server.operator.post(f"/v1/devices/{device['device']}/hold", json={"reason": evil})
    for path in ("/", f"/devices/{device['device']}", f"/batches/{batch}", "/?state=<script>"):
        found = await page(server, path)
        tags = [tag for tag, _ in found.tags]
        assert "img" not in tags
        scripts = [attributes for tag, attributes in found.tags if tag == "script"]
        assert scripts == [{"type": "module", "src": "/static/live.js"}]
        assert not any(name.startswith("on") or name == "style" for _, found_ in found.tags for name in found_)


async def test_pages_forbid_inline_script_framing_and_sniffing(server: LabServer) -> None:
    async with httpx.AsyncClient(base_url=server.address) as reader:
        headers = (await reader.get("/sign-in")).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        for name in ("assay.css", "live.js"):
            assert (await reader.get(f"/static/{name}")).status_code == 200
        assert (await reader.get("/static/../pages.py")).status_code == 404


async def test_many_devices_are_paged_and_filtered_by_state_in_the_address(server: LabServer) -> None:
    await server.join(lab(120))
    units = [registration(number, driver=None if number > 110 else "acme") for number in range(1, 121)]
    assert (await server.heartbeat(*units)).status_code == 200
    first = await page(server, "/")
    assert sum(link.startswith("/devices/") for link in first.links()) == 50
    assert "/?units=2&state=" in first.links()
    last = await page(server, "/?units=3")
    assert sum(link.startswith("/devices/") for link in last.links()) == 20
    without = await page(server, "/?state=no-driver")
    assert sum(link.startswith("/devices/") for link in without.links()) == 10
    assert "Devices that are no driver" in without.text


async def test_every_live_part_of_a_page_has_an_id_and_listens_to_topics_that_are_told(server: LabServer) -> None:
    batch = await server.measured_batch()
    entry = batch["entries"][0]
    (device,) = (await server.operator.get("/v1/devices")).json()
    told = {"devices", "batches", "runs", "quarantine", "certificates", "prompts", "drifts"}
    for path in (
        "/",
        f"/batches/{batch['batch']}",
        f"/submissions/{entry['submission']}",
        f"/devices/{device['device']}",
    ):
        live = [found for _, found in (await page(server, path)).tags if "data-topics" in found]
        assert live
        for part in live:
            assert part["id"]
            assert set((part["data-topics"] or "").split()) <= told


async def test_a_page_that_is_not_there_is_a_404(server: LabServer) -> None:
    async with server.client(server.token) as reader:
        for path in ("/batches/x", "/submissions/x", "/devices/x", "/certificates/x", "/certificates/x/file"):
            assert (await reader.get(path)).status_code == 404
        assert (await reader.get("/?page=0")).status_code == 422
