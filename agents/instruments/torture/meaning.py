"""Messages that are right line by line and make no sense as a whole (RFC 4475, 3.2 and 3.3; RFC 3261, 8.2 and 12.2)."""

from agents.instruments.torture.message import (
    ANSWERS,
    BAD,
    NO_METHOD,
    RINGS,
    SILENCE,
    Scene,
    TortureMessage,
    due,
    invite,
    request,
)

_MISSING = "RFC 3261, 8.1.1 and 21.4.1; RFC 4475, 3.3.1"
_NO_DIALOG = "RFC 3261, 12.2.2"


def _in_no_dialog(scene: Scene, method: str, extra: tuple[tuple[str, str], ...] = ()) -> bytes:
    return request(scene, method, headers={"To": f"<{scene.target}>;tag=nobody", "CSeq": f"7 {method}"}, extra=extra)


def _lacks(name: str) -> TortureMessage:
    """An OPTIONS without a header that every request has. No right answer can be built from it, so none is due too."""
    return TortureMessage(
        slug=f"no-{name.lower()}",
        odd=f"{name} is missing.",
        clause=_MISSING,
        due=BAD | SILENCE,
        valid=False,
        build=lambda scene: request(scene, headers={name: None}),
    )


MEANING: tuple[TortureMessage, ...] = (
    TortureMessage(
        slug="branch-without-identifier",
        odd="The branch is the magic cookie and nothing else.",
        clause="RFC 3261, 8.1.1.7 and 17.2.3; RFC 4475, 3.2.1",
        due=ANSWERS | BAD,
        valid=False,
        build=lambda scene: request(scene, headers={"Via": f"SIP/2.0/UDP {scene.host};branch=z9hG4bK;rport"}),
    ),
    _lacks("Via"),
    _lacks("From"),
    _lacks("To"),
    _lacks("Call-ID"),
    _lacks("CSeq"),
    TortureMessage(
        slug="no-contact-in-invite",
        odd="An INVITE has no Contact, so that a call with it could not go on.",
        clause="RFC 3261, 8.1.1.8 and 21.4.1",
        due=BAD,
        valid=False,
        build=lambda scene: invite(scene, headers={"Contact": None}),
    ),
    TortureMessage(
        slug="unknown-scheme-of-target",
        odd="The Request-URI has a scheme that nobody knows.",
        clause="RFC 3261, 8.2.2.1; RFC 4475, 3.3.2",
        due=due(416),
        valid=True,
        build=lambda scene: request(scene, start_line="OPTIONS nobodyknowsthis:totallyopaque SIP/2.0"),
    ),
    TortureMessage(
        slug="web-scheme-of-target",
        odd="The Request-URI has a scheme that is known but not for this.",
        clause="RFC 3261, 8.2.2.1; RFC 4475, 3.3.3",
        due=due(416),
        valid=True,
        build=lambda scene: invite(scene, start_line="INVITE http://bench.example/call SIP/2.0"),
    ),
    TortureMessage(
        slug="unknown-scheme-in-to",
        odd="The URI in To has a scheme that nobody knows.",
        clause="RFC 3261, 8.2.2.1 (accepting is recommended, 403 refuses); RFC 4475, 3.3.4",
        due=ANSWERS | due(403),
        valid=True,
        build=lambda scene: request(scene, headers={"To": "<isbn:2983792873>"}),
    ),
    TortureMessage(
        slug="unknown-require",
        odd="OPTIONS requires two extensions that nobody knows.",
        clause="RFC 3261, 8.2.2.3; RFC 4475, 3.3.5",
        due=due(420),
        brings=("Unsupported",),
        valid=True,
        build=lambda scene: request(scene, extra=[("Require", "nothing-like-this"), ("Require", "nor-this")]),
    ),
    TortureMessage(
        slug="unknown-require-in-invite",
        odd="INVITE requires an extension that nobody knows.",
        clause="RFC 3261, 8.2.2.3; RFC 4475, 3.3.5",
        due=due(420),
        brings=("Unsupported",),
        valid=True,
        build=lambda scene: invite(scene, extra=[("Require", "nothing-like-this")]),
    ),
    TortureMessage(
        slug="proxy-require-at-a-phone",
        odd="INVITE asks of proxies what nobody knows, which a phone passes over.",
        clause="RFC 3261, 20.29 (for proxies only); RFC 4475, 3.3.5",
        due=RINGS,
        valid=True,
        build=lambda scene: invite(scene, extra=[("Proxy-Require", "nothing-like-this")]),
    ),
    TortureMessage(
        slug="unknown-body",
        odd="The body of an INVITE is of a type that nobody knows.",
        clause="RFC 3261, 8.2.3; RFC 4475, 3.3.6",
        due=due(415),
        brings=("Accept",),
        valid=True,
        build=lambda scene: request(
            scene, "INVITE", headers={"Content-Type": "application/unknownformat"}, body=b"<audio>\r\n"
        ),
    ),
    TortureMessage(
        slug="unknown-encoding",
        odd="The body of an INVITE is encoded in a way that nobody knows.",
        clause="RFC 3261, 8.2.3 and 20.12",
        due=due(415),
        brings=("Accept-Encoding",),
        valid=True,
        build=lambda scene: invite(scene, extra=[("Content-Encoding", "nobody-knows")]),
    ),
    TortureMessage(
        slug="optional-body",
        odd="The body of an INVITE is of an unknown type, and its handling is optional.",
        clause="RFC 3261, 8.2.3 and 20.11",
        due=RINGS,
        valid=True,
        build=lambda scene: request(
            scene,
            "INVITE",
            headers={"Content-Type": "application/unknownformat"},
            extra=[("Content-Disposition", "render;handling=optional")],
            body=b"<audio>\r\n",
        ),
    ),
    TortureMessage(
        slug="body-without-type",
        odd="An INVITE has a body and no Content-Type.",
        clause="RFC 3261, 7.4.1 and 20.15",
        due=due(400, 415),
        valid=False,
        build=lambda scene: invite(scene, headers={"Content-Type": None}),
    ),
    TortureMessage(
        slug="offer-cannot-be-read",
        odd="The offer in an INVITE is no session description.",
        clause="RFC 3261, 13.3.1.3 and 21.4.1; RFC 8866, 5",
        due=due(400, 488, 606),
        valid=False,
        build=lambda scene: request(scene, "INVITE", body=b"v=0\r\nthis is no session description\r\nm=\r\n"),
    ),
    TortureMessage(
        slug="unknown-authorization",
        odd="OPTIONS brings credentials of a scheme that nobody knows, and nobody asked for them.",
        clause="RFC 3261, 22.1; RFC 4475, 3.3.7",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, extra=[("Authorization", "NoOneKnowsThisScheme opaque-data=here")]),
    ),
    TortureMessage(
        slug="single-headers-twice",
        odd="From, To, Call-ID and CSeq stand twice, with different values.",
        clause="RFC 3261, 7.3.1 and 21.4.1; RFC 4475, 3.3.8",
        due=BAD,
        valid=False,
        build=lambda scene: request(
            scene,
            extra=[
                ("From", f"<sip:other@{scene.host}>;tag=other"),
                ("To", "<sip:other@example.com>"),
                ("Call-ID", f"{scene.mark}-other"),
                ("CSeq", "5 OPTIONS"),
            ],
        ),
    ),
    TortureMessage(
        slug="content-length-twice",
        odd="Content-Length stands twice, with different values.",
        clause="RFC 3261, 20.14 and 21.4.1; RFC 4475, 3.3.9",
        due=BAD,
        valid=False,
        build=lambda scene: invite(scene, extra=[("Content-Length", "5")]),
    ),
    TortureMessage(
        slug="max-forwards-zero",
        odd="Max-Forwards is zero, which ends nothing at the one who is meant.",
        clause="RFC 3261, 8.2 and 16.3; RFC 4475, 3.3.11",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, headers={"Max-Forwards": "0"}),
    ),
    TortureMessage(
        slug="nothing-acceptable",
        odd="The Accept of an INVITE names a type in which a phone cannot answer.",
        clause="RFC 3261, 20.1 and 21.4.7; RFC 4475, 3.3.15",
        due=due(406),
        valid=True,
        build=lambda scene: invite(scene, extra=[("Accept", "text/nobodyKnowsThis")]),
    ),
    TortureMessage(
        slug="register-at-a-phone",
        odd="A phone is asked to register somebody.",
        clause="RFC 3261, 8.2.1 and 10.3",
        due=NO_METHOD | due(403, 404),
        valid=True,
        build=lambda scene: request(scene, "REGISTER", extra=[("Expires", "60")]),
    ),
    TortureMessage(
        slug="bye-in-no-dialog",
        odd="BYE for a call that there is not.",
        clause="RFC 3261, 15.1.2",
        due=due(481),
        valid=True,
        build=lambda scene: _in_no_dialog(scene, "BYE"),
    ),
    TortureMessage(
        slug="cancel-of-nothing",
        odd="CANCEL for an INVITE that was never sent.",
        clause="RFC 3261, 9.2",
        due=due(481),
        valid=True,
        build=lambda scene: request(scene, "CANCEL"),
    ),
    TortureMessage(
        slug="ack-of-nothing",
        odd="ACK for an INVITE that was never sent.",
        clause="RFC 3261, 13.3.1.4 and 17 (no response is ever sent to ACK)",
        due=SILENCE,
        valid=True,
        build=lambda scene: _in_no_dialog(scene, "ACK"),
    ),
    TortureMessage(
        slug="reinvite-in-no-dialog",
        odd="INVITE within a dialog that there is not.",
        clause=f"{_NO_DIALOG} (481, or taken as after a restart)",
        due=RINGS | due(481),
        valid=True,
        build=lambda scene: request(
            scene,
            "INVITE",
            headers={"To": f"<{scene.target}>;tag=nobody", "CSeq": "7 INVITE"},
            body=scene.offer,
        ),
    ),
    TortureMessage(
        slug="info-in-no-dialog",
        odd="INFO within a dialog that there is not.",
        clause=f"{_NO_DIALOG}; RFC 6086, 4.2.2",
        due=NO_METHOD | due(481),
        valid=True,
        build=lambda scene: _in_no_dialog(scene, "INFO"),
    ),
    TortureMessage(
        slug="notify-of-nothing",
        odd="NOTIFY of an event that nobody knows, within a subscription that there is not.",
        clause="RFC 6665, 4.1.3 (481) and 8.3.2 (489)",
        due=NO_METHOD | due(481, 489),
        valid=True,
        build=lambda scene: _in_no_dialog(
            scene, "NOTIFY", (("Event", "nobody-knows"), ("Subscription-State", "active"))
        ),
    ),
)
