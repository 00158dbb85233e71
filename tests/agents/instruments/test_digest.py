import pytest

from agents.instruments.digest import Account, Algorithm, Challenger, DigestAnswer, DigestVerdict, answer_challenge
from agents.instruments.sip_message import MalformedMessage
from agents.instruments.sip_values import credentials
from lab_inventory.clock import ManualClock

ACCOUNT = Account(username="1001", password="secret", realm="bench")


def answer(challenge: str, *, password: str = ACCOUNT.password, count: str = "00000001", **changes: str) -> str:
    nonce = credentials(challenge)["nonce"]
    told = {"username": "1001", "realm": "bench", "nonce": nonce, "uri": "sip:h", "client_nonce": "c"} | changes
    return DigestAnswer(**told, nonce_count=count).header("REGISTER", password)


def test_the_response_is_that_of_the_example_in_rfc_2617() -> None:
    example = DigestAnswer(
        username="Mufasa",
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="/dir/index.html",
        nonce_count="00000001",
        client_nonce="0a4f113b",
    )

    assert example.response("GET", "Circle Of Life") == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_responses_are_those_of_the_example_in_rfc_7616(algorithm: Algorithm, response: str) -> None:
    example = DigestAnswer(
        username="Mufasa",
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        uri="/dir/index.html",
        nonce_count="00000001",
        client_nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        algorithm=algorithm,
    )

    assert example.response("GET", "Circle of Life") == response


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_challenge_is_answered_in_its_algorithm_and_the_check_tells_which(algorithm: Algorithm) -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    challenge = challenger.challenge(algorithm=algorithm)

    header = answer_challenge(challenge, account=ACCOUNT, method="REGISTER", uri="sip:h", client_nonce="c")
    check = challenger.check(header, "REGISTER")

    assert (check.verdict, check.algorithm) == (DigestVerdict.CORRECT, algorithm)


def test_an_answer_in_another_algorithm_than_that_of_its_nonce_is_malformed() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    challenge = challenger.challenge(algorithm=Algorithm.SHA_256)

    assert challenger.check(answer(challenge), "REGISTER").verdict is DigestVerdict.MALFORMED


def test_nonces_that_were_forgotten_are_stale() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    challenge = challenger.challenge()
    challenger.forget()

    assert challenger.check(answer(challenge), "REGISTER").verdict is DigestVerdict.STALE


def test_a_challenge_in_an_algorithm_that_is_not_known_is_not_answered() -> None:
    challenge = 'Digest realm="bench", nonce="n", algorithm=SHA-512-256, qop="auth"'

    with pytest.raises(MalformedMessage, match="SHA-512-256"):
        answer_challenge(challenge, account=ACCOUNT, method="REGISTER", uri="sip:h", client_nonce="c")


def test_a_right_answer_is_correct_and_its_count_is_told() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())

    check = challenger.check(answer(challenger.challenge()), "REGISTER")

    assert check.verdict is DigestVerdict.CORRECT
    assert check.nonce_count == 1


def test_our_own_client_answers_our_own_challenge() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    header = answer_challenge(challenger.challenge(), account=ACCOUNT, method="REGISTER", uri="sip:h", client_nonce="c")

    assert challenger.check(header, "REGISTER").verdict is DigestVerdict.CORRECT


def test_no_authorization_is_absent() -> None:
    assert Challenger(ACCOUNT, ManualClock()).check(None, "REGISTER").verdict is DigestVerdict.ABSENT


@pytest.mark.parametrize("changes", [{"password": "other"}, {"username": "1002"}, {"realm": "elsewhere"}])
def test_wrong_credentials_are_wrong(changes: dict[str, str]) -> None:
    challenger = Challenger(ACCOUNT, ManualClock())

    assert challenger.check(answer(challenger.challenge(), **changes), "REGISTER").verdict is DigestVerdict.WRONG


def test_an_answer_for_another_method_is_wrong() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())

    assert challenger.check(answer(challenger.challenge()), "INVITE").verdict is DigestVerdict.WRONG


def test_a_nonce_of_somebody_else_is_stale() -> None:
    challenge = Challenger(ACCOUNT, ManualClock(seed=1)).challenge()

    assert Challenger(ACCOUNT, ManualClock()).check(answer(challenge), "REGISTER").verdict is DigestVerdict.STALE


def test_a_count_that_does_not_grow_is_replayed() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    challenge = challenger.challenge()
    challenger.check(answer(challenge, count="00000002"), "REGISTER")

    again = challenger.check(answer(challenge, count="00000002"), "REGISTER")
    further = challenger.check(answer(challenge, count="00000003"), "REGISTER")

    assert again.verdict is DigestVerdict.REPLAYED
    assert further.verdict is DigestVerdict.CORRECT


def test_the_oldest_of_very_many_nonces_is_forgotten() -> None:
    challenger = Challenger(ACCOUNT, ManualClock())
    first = challenger.challenge()
    for _ in range(600):
        challenger.challenge()

    assert challenger.check(answer(first), "REGISTER").verdict is DigestVerdict.STALE


@pytest.mark.parametrize("header", ["Basic x", 'Digest username="1001"', "Digest \udcff"])
def test_a_header_that_is_no_digest_is_malformed(header: str) -> None:
    assert Challenger(ACCOUNT, ManualClock()).check(header, "REGISTER").verdict is DigestVerdict.MALFORMED
