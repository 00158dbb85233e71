"""Messages that are wrong by the grammar (RFC 4475, 3.1.2), and responses to nothing.

Where the RFCs let an element be liberal, taking the request is as right as refusing it, and both are due.
"""

from agents.instruments.torture.message import (
    ANSWERS,
    BAD,
    RINGS,
    SILENCE,
    Scene,
    TortureMessage,
    due,
    invite,
    request,
    response,
)

_BAD_ADDRESS = "RFC 3261, 20.10, 20.20 and 25.1"


def _spaced_target(scene: Scene) -> bytes:
    return invite(scene, start_line=f"INVITE {scene.target}; odd SIP/2.0")


def _cut_short(scene: Scene) -> bytes:
    return invite(scene, headers={"Content-Length": "9999"})


INVALID: tuple[TortureMessage, ...] = (
    TortureMessage(
        slug="separators-in-contact",
        odd="The Contact of an INVITE ends in separators between which nothing stands.",
        clause="RFC 3261, 21.4.1 and 25.1; RFC 4475, 3.1.2.1",
        due=BAD,
        valid=False,
        build=lambda scene: invite(scene, headers={"Contact": f'"Bench" <sip:bench@{scene.host}>;;,,;;,'}),
    ),
    TortureMessage(
        slug="separators-in-via",
        odd="Separators between which nothing stands follow the first Via.",
        clause="RFC 3261, 21.4.1 and 25.1; RFC 4475, 3.1.2.1",
        due=BAD | SILENCE,
        valid=False,
        build=lambda scene: request(scene, headers={"Via": f"{scene.via};;,;,,"}),
    ),
    TortureMessage(
        slug="content-length-too-large",
        odd="Content-Length is larger than what came.",
        clause="RFC 3261, 18.3; RFC 4475, 3.1.2.2",
        due=BAD,
        valid=False,
        build=_cut_short,
    ),
    TortureMessage(
        slug="content-length-negative",
        odd="Content-Length is negative.",
        clause="RFC 3261, 20.14 and 21.4.1; RFC 4475, 3.1.2.3",
        due=BAD,
        valid=False,
        build=lambda scene: invite(scene, headers={"Content-Length": "-999"}),
    ),
    TortureMessage(
        slug="cseq-overlarge",
        odd="The number in CSeq is above what 32 bits hold.",
        clause="RFC 3261, 8.1.1.5 and 21.4.1; RFC 4475, 3.1.2.4",
        due=BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"CSeq": "36893488147419103232 OPTIONS"}),
    ),
    TortureMessage(
        slug="max-forwards-overlarge",
        odd="Max-Forwards is 300, and 255 is the most.",
        clause="RFC 3261, 20.22 and 8.2.2; RFC 4475, 3.1.2.4",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"Max-Forwards": "300"}),
    ),
    TortureMessage(
        slug="expires-overlarge",
        odd="The Expires of an INVITE is above what 64 bits hold.",
        clause="RFC 3261, 20.19 and 8.2.2; RFC 4475, 3.1.2.4",
        due=RINGS | BAD,
        valid=False,
        build=lambda scene: invite(scene, extra=[("Expires", "1" + "0" * 40)]),
    ),
    TortureMessage(
        slug="quote-not-closed",
        odd="The quoted display name in To has no end.",
        clause="RFC 3261, 21.4.1 and 25.1; RFC 4475, 3.1.2.6",
        due=BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"To": f'"Mr. Phone <{scene.target}>'}),
    ),
    TortureMessage(
        slug="target-in-brackets",
        odd="The Request-URI stands in angle brackets.",
        clause="RFC 3261, 7.1; RFC 4475, 3.1.2.7",
        due=RINGS | BAD,
        valid=False,
        build=lambda scene: invite(scene, start_line=f"INVITE <{scene.target}> SIP/2.0"),
    ),
    TortureMessage(
        slug="space-in-target",
        odd="White space stands within the Request-URI.",
        clause="RFC 3261, 7.1; RFC 4475, 3.1.2.8",
        due=RINGS | BAD,
        valid=False,
        build=_spaced_target,
    ),
    TortureMessage(
        slug="spaces-between-elements",
        odd="Several spaces divide the elements of the request line.",
        clause="RFC 3261, 7.1; RFC 4475, 3.1.2.9",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, start_line=f"OPTIONS  {scene.target}   SIP/2.0"),
    ),
    TortureMessage(
        slug="spaces-after-request-line",
        odd="The request line ends in spaces.",
        clause="RFC 3261, 7.1; RFC 4475, 3.1.2.10",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, start_line=f"OPTIONS {scene.target} SIP/2.0  "),
    ),
    TortureMessage(
        slug="headers-in-target",
        odd="The Request-URI has an escaped header.",
        clause="RFC 3261, 19.1.1; RFC 4475, 3.1.2.11",
        due=RINGS | BAD,
        valid=False,
        build=lambda scene: invite(scene, start_line=f"INVITE {scene.target}?Route=%3Csip:a.example%3E SIP/2.0"),
    ),
    TortureMessage(
        slug="date-in-another-zone",
        odd="The Date of an INVITE is not in GMT.",
        clause="RFC 3261, 20.17 and 8.2.2; RFC 4475, 3.1.2.12",
        due=RINGS | BAD,
        valid=False,
        build=lambda scene: invite(scene, extra=[("Date", "Mon, 02 Mar 2026 09:00:00 CET")]),
    ),
    TortureMessage(
        slug="contact-without-brackets",
        odd="The Contact of an INVITE has a header in its URI and no angle brackets.",
        clause=f"{_BAD_ADDRESS}; RFC 4475, 3.1.2.13",
        due=RINGS | BAD,
        valid=False,
        build=lambda scene: invite(scene, headers={"Contact": f"sip:bench@{scene.host}?Route=%3Csip:a.example%3E"}),
    ),
    TortureMessage(
        slug="spaces-in-address",
        odd="Spaces stand within the address in To.",
        clause=f"{_BAD_ADDRESS}; RFC 4475, 3.1.2.14",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"To": f'"Phone" < {scene.target} >'}),
    ),
    TortureMessage(
        slug="display-name-not-quoted",
        odd="The display name in From has a comma and is not quoted.",
        clause=f"{_BAD_ADDRESS}; RFC 4475, 3.1.2.15",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"From": f"Bench, Test {scene.sender}"}),
    ),
    TortureMessage(
        slug="unknown-version",
        odd="The version is SIP/7.0.",
        clause="RFC 3261, 21.5.6; RFC 4475, 3.1.2.16",
        due=due(505),
        valid=False,
        build=lambda scene: request(scene, start_line=f"OPTIONS {scene.target} SIP/7.0"),
    ),
    TortureMessage(
        slug="cseq-of-another-method",
        odd="CSeq names another method than the request line.",
        clause="RFC 3261, 8.1.1.5 and 21.4.1; RFC 4475, 3.1.2.17",
        due=BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"CSeq": "8 INVITE"}),
    ),
    TortureMessage(
        slug="unknown-method-and-cseq-of-another",
        odd="The method is unknown, and CSeq names another one.",
        clause="RFC 3261, 8.1.1.5 and 8.2.1; RFC 4475, 3.1.2.18",
        due=due(400, 405, 501),
        valid=False,
        build=lambda scene: request(scene, "NEWMETHOD", headers={"CSeq": "8 OPTIONS"}),
    ),
    TortureMessage(
        slug="response-overlarge-code",
        odd="A response with a status above what 32 bits hold, to a request that was never sent.",
        clause="RFC 3261, 18.1.2; RFC 4475, 3.1.2.19",
        due=SILENCE,
        valid=False,
        build=lambda scene: response(scene, "SIP/2.0 4294967301 better not break the receiver"),
    ),
    TortureMessage(
        slug="response-overlarge-values",
        odd="A response whose CSeq number and Retry-After are above what 64 bits hold, to a request never sent.",
        clause="RFC 3261, 18.1.2; RFC 4475, 3.1.2.5",
        due=SILENCE,
        valid=False,
        build=lambda scene: response(
            scene, "SIP/2.0 503 Service Unavailable", {"CSeq": f"{10**25} INVITE", "Retry-After": str(10**25)}
        ),
    ),
    TortureMessage(
        slug="response-for-all",
        odd="A 200 to INVITE whose Via names the broadcast address.",
        clause="RFC 3261, 18.1.2; RFC 4475, 3.3.10",
        due=SILENCE,
        valid=False,
        build=lambda scene: response(
            scene, "SIP/2.0 200 OK", {"Via": f"SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK{scene.mark}"}
        ),
    ),
    TortureMessage(
        slug="response-without-reason",
        odd="A response with an empty reason phrase and one of UTF-8 in a header, to a request never sent.",
        clause="RFC 3261, 7.2 and 18.1.2; RFC 4475, 3.1.1.12 and 3.1.1.13",
        due=SILENCE,
        valid=True,
        build=lambda scene: response(scene, "SIP/2.0 100 ", {"Warning": '399 bench "größer 語"'}),
    ),
)
