"""Messages that are right by the grammar and look wrong (RFC 4475, 3.1.1, 3.4; RFC 3261, 7 and 25)."""

from agents.instruments.torture.message import (
    ANSWERS,
    NO_METHOD,
    RINGS,
    Scene,
    TortureMessage,
    due,
    invite,
    request,
)

_LONG = "long-" * 60


def _tortuous(scene: Scene) -> bytes:
    """Every freedom of the grammar in one INVITE: folding, white space, compact names, any case, escapes."""
    lines = [
        f"INVITE {scene.target};odd=yes SIP/2.0",
        f"TO :\r\n <{scene.target}>",
        f'from   : "A \\"bench\\" \\\\ of tests"\t<sip:bench@{scene.host}>\r\n  ;\r\n  TAG   =\t{scene.mark}',
        "MaX-fOrWaRdS: 0070",
        f"i: {scene.mark}",
        "cseq: 0001\r\n  INVITE",
        f"v  : SIP  /  2.0\r\n /UDP\r\n    {scene.own[0]} : {scene.own[1]} ; Branch = z9hG4bK{scene.mark};RPORT",
        "s :",
        "Newer:   a value\r\n that goes on",
        "Odd-Value: ,;,;;,",
        f'm:"Quoted \\"name\\"" <sip:bench@{scene.host}>;newparam = newvalue; secondparam ; q = 0.33',
        "Content-Type: application/sdp",
        f"l: {len(scene.offer)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + scene.offer


def _old_invite(scene: Scene) -> bytes:
    """As RFC 2543 had it: no branch, no From tag, no Max-Forwards, addresses without brackets."""
    return invite(
        scene,
        headers={
            "Via": f"SIP/2.0/UDP {scene.host}",
            "Max-Forwards": None,
            "From": f"sip:bench@{scene.host}",
            "To": scene.target.partition(";")[0],
            "Contact": f"sip:bench@{scene.host}",
        },
    )


def _two_in_one(scene: Scene) -> bytes:
    """A whole request, and after its end a second one that is no part of it."""
    second = request(scene, headers={"Call-ID": f"{scene.mark}-second", "CSeq": "9 OPTIONS"})
    return request(scene, headers={"CSeq": "1 OPTIONS"}) + second


def _multipart(scene: Scene) -> bytes:
    """The offer is the first part of a multipart body; the second part is of no use to a phone."""
    mark = b"--part-of-the-whole"
    note = b"Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n\r\nHello"
    parts = [b"Content-Type: application/sdp\r\n\r\n" + scene.offer, note]
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    boundary = mark[2:].decode()
    return request(scene, "INVITE", headers={"Content-Type": f'multipart/mixed;boundary="{boundary}"'}, body=body)


def _escaped_target(scene: Scene) -> str:
    """The phone's own contact with its first user character escaped: the same URI (RFC 3261, 19.1.4)."""
    scheme, _, rest = scene.target.partition(":")
    return f"{scheme}:%{ord(rest[0]):02X}{rest[1:]}"


VALID: tuple[TortureMessage, ...] = (
    TortureMessage(
        slug="tortuous-invite",
        odd="An INVITE with folded lines, white space wherever it may be, compact names, names in any case.",
        clause="RFC 3261, 7.3.1 and 25.1; RFC 4475, 3.1.1.1",
        due=RINGS,
        valid=True,
        build=_tortuous,
    ),
    TortureMessage(
        slug="odd-method-characters",
        odd="A method of every character that a token may have.",
        clause="RFC 3261, 8.2.1 and 25.1; RFC 4475, 3.1.1.2",
        due=NO_METHOD,
        valid=True,
        build=lambda scene: request(scene, "Odd-.!%*_+`'~9Method"),
    ),
    TortureMessage(
        slug="odd-characters-in-values",
        odd="A display name in UTF-8 with a quoted NUL, a Call-ID and parameters of unusual characters.",
        clause="RFC 3261, 25.1 (quoted-pair, word); RFC 4475, 3.1.1.2",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene,
            headers={
                "From": f'"tab:\\\t nul:\\\0 del:\\\x7f ÄÖ語" <sip:!$&\'()*+,;=-._~?/x:pa=ss$+,~*@{scene.host}>'
                f";tag={scene.mark}",
                "Call-ID": f"{scene.mark}`'~()<>:\\\"/[]?{{}}.!%*_+-",
            },
            extra=[("X-.!%*_+`'~", "Übergröße 漢字")],
        ),
    ),
    TortureMessage(
        slug="escaped-user",
        odd="The Request-URI is the phone's contact with one character of the user escaped.",
        clause="RFC 3261, 19.1.4; RFC 4475, 3.1.1.3",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, start_line=f"OPTIONS {_escaped_target(scene)} SIP/2.0"),
    ),
    TortureMessage(
        slug="escaped-addresses",
        odd="From and Contact of an INVITE have escaped at signs, quotes and UTF-8.",
        clause="RFC 3261, 19.1.2; RFC 4475, 3.1.1.3",
        due=RINGS,
        valid=True,
        build=lambda scene: invite(
            scene,
            headers={
                "From": f"<sip:I%20have%20spaces%40home@{scene.host}>;tag={scene.mark}",
                "Contact": f"<sip:cal%6Cer%22%C3%A4@{scene.host};%6C%72;n%61me=v%61lue%25%34%31>",
            },
        ),
    ),
    TortureMessage(
        slug="escaped-null",
        odd="The users in From and Contact are escaped NUL characters.",
        clause="RFC 3261, 19.1.2; RFC 4475, 3.1.1.4",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene,
            headers={
                "From": f"<sip:null-%00-null@{scene.host}>;tag={scene.mark}",
                "Contact": f"<sip:%00%00@{scene.host}>",
            },
        ),
    ),
    TortureMessage(
        slug="percent-is-no-escape",
        odd="The method OPT%49ONS: outside of a URI a percent sign escapes nothing, so it is not OPTIONS.",
        clause="RFC 3261, 25.1 (token); RFC 4475, 3.1.1.5",
        due=NO_METHOD,
        valid=True,
        build=lambda scene: request(scene, "OPT%49ONS"),
    ),
    TortureMessage(
        slug="lower-case-method",
        odd="The method options in lower case: methods know their case, so it is not OPTIONS.",
        clause="RFC 3261, 7.1 and 8.2.1",
        due=NO_METHOD,
        valid=True,
        build=lambda scene: request(scene, "options"),
    ),
    TortureMessage(
        slug="lower-case-version",
        odd="The version sip/2.0 in lower case: it is compared without case.",
        clause="RFC 3261, 7.1",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, start_line=f"OPTIONS {scene.target} sip/2.0"),
    ),
    TortureMessage(
        slug="no-space-before-bracket",
        odd="No white space between display name and address.",
        clause="RFC 3261, 25.1 (name-addr); RFC 4475, 3.1.1.6",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, headers={"From": f"caller{scene.sender}"}),
    ),
    TortureMessage(
        slug="long-values",
        odd="Names, parameters and header values of some hundred characters, and twenty Vias.",
        clause="RFC 3261, 18.1.1 (up to 65,535 bytes); RFC 4475, 3.1.1.7",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene,
            headers={
                "From": f'"{_LONG}" <sip:{_LONG}user@{scene.host}>;unknown={_LONG};tag={scene.mark}',
                "Call-ID": f"{scene.mark}.{_LONG}",
                "Contact": f"<sip:{_LONG}amp@{scene.host};p={_LONG}>",
            },
            extra=[(f"Unknown-{_LONG}Name", _LONG)]
            + [("Via", f"SIP/2.0/TCP sip{number}.example.com;branch=z9hG4bK{number}") for number in range(19)],
        ),
    ),
    TortureMessage(
        slug="octets-after-the-end",
        odd="A second request follows in the same datagram, after the end by Content-Length.",
        clause="RFC 3261, 18.3; RFC 4475, 3.1.1.8",
        due=ANSWERS,
        valid=True,
        build=_two_in_one,
    ),
    TortureMessage(
        slug="semicolons-in-user",
        odd="The user part in From has semicolons and an escaped at sign.",
        clause="RFC 3261, 19.1.1; RFC 4475, 3.1.1.9",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene, headers={"From": f"<sip:user;par=u%40example.net@{scene.host}>;tag={scene.mark}"}
        ),
    ),
    TortureMessage(
        slug="odd-transports-in-via",
        odd="Vias under the first one name SCTP, TLS and a transport that nobody knows.",
        clause="RFC 3261, 20.42; RFC 4475, 3.1.1.10",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene,
            extra=[
                ("Via", f"SIP/2.0/{transport} t{place}.example.com;branch=z9hG4bKv{place}")
                for place, transport in enumerate(("SCTP", "TLS", "UNKNOWN", "TCP"))
            ],
        ),
    ),
    TortureMessage(
        slug="via-name-unknown",
        odd="The first Via names a host that does not resolve: the answer goes where the request came from.",
        clause="RFC 3261, 18.2.1 and 18.2.2; RFC 3581, 4",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene, headers={"Via": f"SIP/2.0/UDP nowhere.invalid;rport;branch=z9hG4bK{scene.mark}"}
        ),
    ),
    TortureMessage(
        slug="multipart-offer",
        odd="The offer is one part of a multipart body.",
        clause="RFC 3261, 7.4 and 8.2.3; RFC 4475, 3.1.1.11",
        due=RINGS | due(415, 488),
        valid=True,
        build=_multipart,
    ),
    TortureMessage(
        slug="no-content-length",
        odd="An INVITE without Content-Length: over UDP the body goes to the end of the datagram.",
        clause="RFC 3261, 18.3 and 20.14",
        due=RINGS,
        valid=True,
        build=lambda scene: invite(scene, headers={"Content-Length": None}),
    ),
    TortureMessage(
        slug="empty-headers",
        odd="Headers that may be empty are empty.",
        clause="RFC 3261, 20.1, 20.36, 20.37 and 25.1",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, extra=[("Supported", ""), ("Accept", ""), ("Subject", ""), ("Allow", "")]),
    ),
    TortureMessage(
        slug="six-in-addresses",
        odd="From and Contact hold IPv6 references and a host name that ends in a dot.",
        clause="RFC 3261, 25.1 (IPv6reference, hostname)",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(
            scene,
            headers={
                "From": f"<sip:bench@[2001:db8::9:1]:5070>;tag={scene.mark}",
                "Contact": "<sip:bench@Example.COM.:5062>",
            },
        ),
    ),
    TortureMessage(
        slug="zeros-before-numbers",
        odd="CSeq and Max-Forwards have zeros before their numbers.",
        clause="RFC 3261, 25.1 (1*DIGIT)",
        due=ANSWERS,
        valid=True,
        build=lambda scene: request(scene, headers={"CSeq": "0000009 OPTIONS", "Max-Forwards": "0070"}),
    ),
    TortureMessage(
        slug="contact-parameters",
        odd="Contact has parameters that nobody knows, in the URI and after it.",
        clause="RFC 3261, 20.10; RFC 4475, 3.3.12 and 3.3.13",
        due=RINGS,
        valid=True,
        build=lambda scene: invite(
            scene,
            headers={"Contact": f"<sip:bench@{scene.host};odd;strange=%22a%22>;other=1;more;q=0.5"},
        ),
    ),
    TortureMessage(
        slug="old-invite",
        odd="An INVITE as RFC 2543 had it: no branch, no From tag, no Max-Forwards, no brackets.",
        clause="RFC 3261, 8.2.6.2, 12.1.1 and 17.2.3; RFC 4475, 3.4.1",
        due=RINGS,
        valid=True,
        build=_old_invite,
    ),
)
