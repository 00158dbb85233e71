"""The page of a case: its ladder drawn here, foreign text as text, and only for those who may see evidence."""

import io
import json
import math
import re
import zipfile

from lab_server import LabServer
from signalling import EVIL, files

from lab_inventory.evidence.pack import read_pack
from lab_inventory.evidence.wav import write_wav
from tests.orchestrator.web.test_pages import page

CASE = "TC-SIP-01"


async def path_of(server: LabServer, messages: int = 5) -> str:
    server.kept = {CASE: files(CASE, messages)}
    (entry,) = (await server.measured_batch(ringing_ms=900.0))["entries"]
    found = await page(server, f"/submissions/{entry['submission']}")
    return next(link for link in found.links() if f"/cases/{CASE}?" in link)


async def test_a_submission_leads_to_the_case_with_its_ladder_files_and_pack(server: LabServer) -> None:
    path = await path_of(server)

    found = await page(server, path)

    assert "ringing_ms was 900 ms" in found.text
    assert "INVITE sip:1001@192.0.2.7 SIP/2.0" in found.text
    assert "retransmission" in found.text
    assert {"svg", "line", "polygon"} <= {tag for tag, _ in found.tags}
    for link in [link for link in found.links() if link.startswith("/v1/")]:
        assert (await server.operator.get(link)).status_code == 200, link
    assert sum("/evidence/" in link for link in found.links()) == 3
    assert any("/pack?" in link for link in found.links())


async def test_what_a_phone_said_stays_text_and_nothing_is_styled_in_place(server: LabServer) -> None:
    path = await path_of(server)

    answer = await server.operator.get(path)

    assert EVIL not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert not re.search(r"\sstyle=", answer.text)
    assert "style-src 'self'" in answer.headers["content-security-policy"]


async def test_a_long_ladder_is_bounded_and_says_so(server: LabServer) -> None:
    answer = await server.operator.get(await path_of(server, messages=2000))

    assert "1501 arrows are left out" in answer.text
    assert answer.text.count("<polygon") == 500


def recorded() -> list[tuple[str, str, bytes]]:
    tone = [round(8000 * math.sin(at * 0.785)) for at in range(8000)]
    packets = [
        {"call": "c", "at_ns": 7 * 10**9 + at * 20_000_000, "payload_type": 0, "ssrc": 1, "sequence": at, "dscp": 46}
        | {"timestamp": 160 * at, "encoding": EVIL}
        for at in range(50)
        if at != 20
    ]
    return [
        (f"{CASE} RTP packets", "application/jsonl", "".join(json.dumps(one) + "\n" for one in packets).encode()),
        (f"{CASE} audio received PCMU {EVIL}", "audio/wav", write_wav(8000, tone)),
        (f"{CASE} audio that is none", "audio/wav", EVIL.encode()),
    ]


async def test_a_recording_is_played_and_drawn_and_what_is_none_is_a_file_alone(server: LabServer) -> None:
    server.kept = {CASE: recorded()}
    (entry,) = (await server.measured_batch(ringing_ms=900.0))["entries"]
    found = await page(server, f"/submissions/{entry['submission']}")
    path = next(link for link in found.links() if f"/cases/{CASE}?" in link)

    answer = await server.operator.get(path)

    assert "media-src 'self'" in answer.headers["content-security-policy"]
    assert EVIL not in answer.text
    assert "49 packets" in answer.text
    assert "1 lost" in answer.text
    (src,) = re.findall(r'<audio [^>]*src="([^"]+)"', answer.text)
    played = await server.operator.get(src.replace("&amp;", "&"))
    assert (played.status_code, played.headers["content-type"]) == (200, "audio/wav")
    assert played.content == recorded()[1][2]
    part = await server.operator.get(src, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 100-299/{len(played.content)}")
    assert part.content == played.content[100:300]
    (image,) = re.findall(r'<image [^>]*href="([^"]+)"', answer.text)
    assert (await server.operator.get(image)).content.startswith(b"\x89PNG")
    pack = await server.operator.get(f"/v1{path.partition('?')[0]}/pack")
    read_pack(pack.content)
    names = zipfile.ZipFile(io.BytesIO(pack.content)).namelist()
    assert {"sound-1.svg", "rtp-1.svg"} <= set(names)
    assert "sound-2.svg" not in names


async def test_who_is_not_signed_in_sees_no_evidence(server: LabServer) -> None:
    path = await path_of(server)
    async with server.client("") as nobody:
        assert (await nobody.get(path)).headers["location"].startswith("/sign-in")
        assert (await nobody.get(f"/v1{path.partition('?')[0]}/pack")).status_code == 401
