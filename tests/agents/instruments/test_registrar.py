from agents.instruments.digest import Account, Algorithm, DigestVerdict, answer_challenge
from agents.instruments.registrar import Registrar
from agents.instruments.sip_message import Request, Response, parse, request_bytes
from agents.instruments.sip_transport import Received
from lab_inventory.clock import ManualClock

ACCOUNT = Account(username="1001", password="secret", realm="bench")
CONTACT = '<sip:1001-0x1@127.0.0.1:5062>;expires=60;+sip.instance="<urn:uuid:1>"'
SECOND_NS = 1_000_000_000


class Phone:
    """Registers with a registrar in memory; time moves only when told."""

    def __init__(self, registrar: Registrar) -> None:
        self.registrar = registrar
        self.number = 0
        self.now_ns = SECOND_NS

    def send(self, *, contact: str | None, expires: str | None, authorization: str | None) -> Response:
        self.number += 1
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK{self.number};rport"),
            ("From", "<sip:1001@h>;tag=a"),
            ("To", "<sip:1001@h>"),
            ("Call-ID", "reg"),
            ("CSeq", f"{self.number} REGISTER"),
            ("User-Agent", "phone 1.0"),
        ]
        optional = (("Contact", contact), ("Expires", expires), ("Authorization", authorization))
        headers += [(name, value) for name, value in optional if value is not None]
        request = parse(request_bytes("REGISTER", "sip:h", headers))
        assert isinstance(request, Request)
        received = Received(message=request, at_ns=self.now_ns, peer=("127.0.0.1", 5062))
        status, raw = self.registrar.answer(received)
        response = parse(raw)
        assert isinstance(response, Response)
        assert response.status == status
        return response

    def register(
        self, *, contact: str | None = CONTACT, expires: str | None = None, password: str = ACCOUNT.password
    ) -> Response:
        challenge = self.send(contact=contact, expires=expires, authorization=None).get("WWW-Authenticate") or ""
        account = Account(username="1001", password=password, realm="bench")
        header = answer_challenge(challenge, account=account, method="REGISTER", uri="sip:h", client_nonce="c")
        return self.send(contact=contact, expires=expires, authorization=header)


def a_phone(expires_s: int = 10) -> Phone:
    return Phone(Registrar(ACCOUNT, expires_s=expires_s, clock=ManualClock()))


def test_the_first_register_is_challenged_and_the_answer_is_bound_for_as_long_as_the_bench_grants() -> None:
    phone = a_phone(expires_s=10)

    response = phone.register()

    assert response.status == 200
    assert response.get("Contact") == "<sip:1001-0x1@127.0.0.1:5062>;expires=10"
    first, second = phone.registrar.records.all()
    assert (first.status, first.verdict) == (401, DigestVerdict.ABSENT)
    assert (second.status, second.expires_asked_s, second.expires_granted_s) == (200, 60, 10)
    assert (second.instance, second.user_agent, second.cseq, second.nonce_count) == ("<urn:uuid:1>", "phone 1.0", 2, 1)


def test_less_than_the_bench_grants_is_granted_as_asked() -> None:
    phone = a_phone(expires_s=100)
    phone.register(contact="<sip:a@127.0.0.1>", expires="7")

    assert phone.registrar.records.all()[-1].expires_granted_s == 7


def test_a_binding_holds_until_its_expiry_and_no_longer() -> None:
    phone = a_phone(expires_s=10)
    phone.register()

    (binding,) = phone.registrar.bindings(phone.now_ns + 10 * SECOND_NS - 1)
    assert (binding.uri, binding.peer) == ("sip:1001-0x1@127.0.0.1:5062", ("127.0.0.1", 5062))
    assert phone.registrar.bindings(phone.now_ns + 10 * SECOND_NS) == ()


def test_a_wrong_password_is_forbidden_and_binds_nothing() -> None:
    phone = a_phone()

    assert phone.register(password="wrong").status == 403
    assert phone.registrar.bindings(0) == ()


def test_expires_zero_takes_the_binding_away() -> None:
    phone = a_phone()
    phone.register()

    phone.register(contact="<sip:1001-0x1@127.0.0.1:5062>;expires=0")

    assert phone.registrar.records.all()[-1].removes
    assert phone.registrar.bindings(0) == ()


def test_a_star_takes_all_away_and_needs_expires_zero() -> None:
    phone = a_phone()
    phone.register()

    assert phone.register(contact="*").status == 400
    assert phone.registrar.bindings(0) != ()
    assert phone.register(contact="*", expires="0").status == 200
    assert phone.registrar.bindings(0) == ()


def test_a_contact_that_cannot_be_read_is_refused_and_changes_nothing() -> None:
    phone = a_phone()
    phone.register()

    assert phone.register(contact="<sip:>>;;").status == 400
    assert len(phone.registrar.bindings(0)) == 1


def test_many_contacts_of_a_phone_that_restarts_leave_only_the_newest() -> None:
    phone = a_phone()
    for number in range(20):
        phone.now_ns += SECOND_NS
        phone.register(contact=f"<sip:1001-{number}@127.0.0.1>")

    bindings = phone.registrar.bindings(0)
    assert bindings[0].uri == "sip:1001-19@127.0.0.1"
    assert len(bindings) == 8


def test_the_answer_tells_the_source_where_rport_asks_for_it() -> None:
    via = a_phone().register().get("Via")

    assert via == "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK2;rport=5062;received=127.0.0.1"


def test_several_algorithms_are_offered_in_their_order_for_as_long_as_that_is_open() -> None:
    phone = a_phone()
    with phone.registrar.offering((Algorithm.SHA_256, Algorithm.MD5)):
        offered = phone.send(contact=CONTACT, expires=None, authorization=None).get_all("WWW-Authenticate")
    usual = phone.send(contact=CONTACT, expires=None, authorization=None).get_all("WWW-Authenticate")

    assert ["algorithm=SHA-256" in one for one in offered] == [True, False]
    assert len(usual) == 1
    assert "algorithm=MD5" in usual[0]


def test_what_the_phone_chose_stands_in_the_record() -> None:
    phone = a_phone()
    with phone.registrar.offering((Algorithm.SHA_256, Algorithm.MD5)):
        assert phone.register().status == 200

    assert [record.algorithm for record in phone.registrar.records.all()] == [None, Algorithm.SHA_256]


def test_a_nonce_from_before_is_stale_once_others_are_offered() -> None:
    phone = a_phone()
    challenge = phone.send(contact=CONTACT, expires=None, authorization=None).get("WWW-Authenticate") or ""
    header = answer_challenge(challenge, account=ACCOUNT, method="REGISTER", uri="sip:h", client_nonce="c")
    with phone.registrar.offering((Algorithm.MD5,)):
        response = phone.send(contact=CONTACT, expires=None, authorization=header)

    assert response.status == 401
    assert "stale=true" in (response.get("WWW-Authenticate") or "")


def test_a_disturbance_is_remembered_with_its_begin_and_its_end() -> None:
    registrar = a_phone().registrar
    with registrar.silence():
        assert registrar.silent
        ((began, ended),) = registrar.disturbed
        assert ended is None

    assert not registrar.silent
    ((_, ended),) = registrar.disturbed
    assert ended is not None
    assert ended >= began
