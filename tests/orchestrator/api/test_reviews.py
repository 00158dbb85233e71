"""The story of a review through the API: one token for each role, and the same with one token for all."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from lab_server import LabServer
from review_world import judged, let_in, token_of

from orchestrator.lifecycle.rights import Role
from orchestrator.store.audit import audit

Clients = dict[str, httpx.AsyncClient]


@pytest.fixture
async def clients(server: LabServer) -> AsyncIterator[Clients]:
    """A client for each of those with one role."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(server.client(token)) for name, token in let_in(server).items()}


async def post(client: httpx.AsyncClient, submission: str, act: str, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/reviews/{submission}/{act}", json={"words": "because"} | body)


async def shown(client: httpx.AsyncClient, submission: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/reviews/{submission}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rules(found: dict[str, Any], what: str = "grant") -> list[str]:
    return [one["rule"] for one in found["prevents"][what]]


def refused_by(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 409, answer.text
    return [one["path"] for one in answer.json()["problems"]]


def findings(server: LabServer) -> tuple[str, ...]:
    with server.parts.store.reading() as connection:
        return audit(connection).findings


async def test_with_one_token_for_each_role_a_submission_goes_from_question_to_certificate(
    server: LabServer, clients: Clients
) -> None:
    submission = await judged(server, clients["opal"])
    (row,) = (await clients["rita"].get("/v1/reviews?waits_for=review")).json()
    assert (row["submission"], row["state"], row["earned"]) == (submission, "open", "certified")
    assert (await server.operator.get("/v1/certificates")).json() == []
    assert rules(await shown(clients["dora"], submission)) == ["no-recommendation"]

    assert (await post(clients["rita"], submission, "ask", words="Which handset?")).status_code == 204
    assert set(rules(await shown(clients["dora"], submission))) == {"no-recommendation", "open-questions"}
    (waiting,) = (await clients["acme"].get("/v1/reviews?waits_for=answer")).json()
    assert waiting["submission"] == submission
    assert refused_by(await post(clients["rita"], submission, "recommend", level="certified")) == ["open-questions"]
    assert (await post(clients["acme"], submission, "answer", words="Handset H2.")).status_code == 204

    assert (await post(clients["rita"], submission, "recommend", level="certified")).status_code == 204
    found = await shown(clients["dora"], submission)
    assert (found["state"], found["prevents"]["grant"], found["prevents"]["refusal"]) == ("recommended", [], [])
    made = await post(clients["dora"], submission, "decide", level="certified", words="All is met.")
    assert made.status_code == 201

    certificate = (await server.operator.get(f"/v1/certificates/{made.json()['certificate']}")).json()["certificate"]
    assert (certificate["level"], certificate["decided_by"]) == ("certified", "dora")
    assert (certificate["demonstration"], certificate["decision"]) == (False, made.json()["decision"])
    found = await shown(clients["rita"], submission)
    assert found["state"] == "decided"
    assert [(entry["kind"], entry["by"], entry["words"]) for entry in found["entries"]] == [
        ("question", "rita", "Which handset?"),
        ("answer", "acme", "Handset H2."),
        ("recommendation", "rita", "because"),
    ]
    assert found["decision"]["words"] == "All is met."
    assert findings(server) == ()


async def test_with_one_token_for_all_roles_the_rule_is_named_and_nothing_is_granted(server: LabServer) -> None:
    async with server.client(token_of(server, "solo", Role.OPERATOR, Role.REVIEWER, Role.DECIDER)) as solo:
        submission = await judged(server, solo)
        answer = await post(solo, submission, "recommend", level="certified")
        assert refused_by(answer) == ["reviewer-took-part"]
        assert answer.json()["type"] == "urn:assay:prevented"
        assert "solo queued the batch" in answer.json()["problems"][0]["wrong"]
        assert refused_by(await post(solo, submission, "ask")) == ["reviewer-took-part"]
        answer = await post(solo, submission, "decide", level="certified")
        assert set(refused_by(answer)) == {"no-recommendation", "decider-took-part"}
        assert (await shown(solo, submission))["state"] == "open"
    assert (await server.operator.get("/v1/certificates")).json() == []


async def test_who_has_both_roles_does_not_do_both_on_one_submission(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    async with server.client(token_of(server, "both", Role.REVIEWER, Role.DECIDER)) as both:
        assert (await post(both, submission, "recommend", level="certified")).status_code == 204
        for level in ("certified", None):
            answer = await post(both, submission, "decide", level=level)
            assert refused_by(answer) == ["decider-took-part"]
            assert "both reviewed it" in answer.text
    assert (await post(clients["dora"], submission, "decide", level="certified")).status_code == 201


async def test_a_lower_level_is_granted_and_a_higher_one_than_was_earned_is_not(
    server: LabServer, clients: Clients
) -> None:
    submission = await judged(server, clients["opal"], ringing_ms=900.0)
    assert refused_by(await post(clients["rita"], submission, "recommend", level="certified")) == ["level-not-earned"]
    assert (await post(clients["rita"], submission, "recommend", level="works-with")).status_code == 204
    assert refused_by(await post(clients["dora"], submission, "decide", level="certified")) == ["level-not-earned"]
    assert refused_by(await post(clients["dora"], submission, "decide", level="none")) == ["level-not-earned"]
    made = await post(clients["dora"], submission, "decide", level="works-with")
    (certificate,) = (await server.operator.get("/v1/certificates")).json()
    assert (certificate["certificate"], certificate["level"]) == (made.json()["certificate"], "works-with")


async def test_the_lower_of_two_met_levels_may_be_granted(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    await post(clients["rita"], submission, "recommend", level="certified")
    assert (await post(clients["dora"], submission, "decide", level="works-with")).status_code == 201
    (certificate,) = (await server.operator.get("/v1/certificates")).json()
    assert certificate["level"] == "works-with"
    assert findings(server) == ()


async def test_a_refusal_grants_nothing_and_ends_the_review(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    await post(clients["rita"], submission, "recommend", level=None)
    made = await post(clients["dora"], submission, "decide", level=None, words="The mark was misused.")
    assert made.json()["certificate"] is None
    found = await shown(clients["acme"], submission)
    assert (found["state"], found["decision"]["level"], found["decision"]["words"]) == (
        "decided",
        None,
        "The mark was misused.",
    )
    assert "review-ended" in refused_by(await post(clients["dora"], submission, "decide", level="certified"))
    assert refused_by(await post(clients["rita"], submission, "ask")) == ["review-ended"]
    assert (await server.operator.get("/v1/certificates")).json() == []


async def test_what_is_returned_is_seen_by_its_vendor_and_another_submission_may_follow(
    server: LabServer, clients: Clients
) -> None:
    submission = await judged(server, clients["opal"])
    await post(clients["rita"], submission, "recommend", level="certified")
    assert (await post(clients["rita"], submission, "return", words="Send the handset too.")).status_code == 204
    found = await shown(clients["acme"], submission)
    assert [(entry["kind"], entry["words"]) for entry in found["entries"]] == [("returned", "Send the handset too.")]
    assert refused_by(await post(clients["dora"], submission, "decide", level="certified"))[0] == "review-ended"
    again = await judged(server, clients["acme"], key="key-2")
    assert (await shown(clients["rita"], again))["state"] == "open"
    assert (await shown(clients["rita"], submission))["entries"][0]["kind"] == "recommendation"
    assert findings(server) == ()


async def test_a_vendor_sees_and_answers_its_own_alone_and_no_recommendation(
    server: LabServer, clients: Clients
) -> None:
    submission = await judged(server, clients["opal"])
    async with server.client(token_of(server, "other", Role.VENDOR, vendor="Other")) as other:
        assert (await other.get("/v1/reviews")).json() == []
        assert (await other.get(f"/v1/reviews/{submission}")).status_code == 404
        await post(clients["rita"], submission, "ask")
        assert (await post(other, submission, "answer")).status_code == 404
    assert (await post(clients["acme"], submission, "ask")).status_code == 403
    await post(clients["acme"], submission, "answer")
    await post(clients["rita"], submission, "recommend", level="certified")
    found = await shown(clients["acme"], submission)
    assert [entry["kind"] for entry in found["entries"]] == ["question", "answer"]
    assert "prevents" not in found


async def test_who_was_of_the_vendor_once_neither_reviews_nor_decides(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    token_of(server, "turncoat", Role.VENDOR, vendor="ACME ")
    server.parts.people.change("turncoat", (Role.REVIEWER, Role.DECIDER), None, "operator")
    async with server.client(token_of(server, "turncoat", Role.REVIEWER, Role.DECIDER)) as turncoat:
        answer = await post(turncoat, submission, "recommend", level="certified")
        assert refused_by(answer) == ["reviewer-took-part"]
        assert "is or was of the vendor Acme" in answer.text
        await post(clients["rita"], submission, "recommend", level="certified")
        assert refused_by(await post(turncoat, submission, "decide", level="certified")) == ["decider-took-part"]


async def test_an_operator_who_answered_for_the_vendor_took_part(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    await post(clients["rita"], submission, "ask")
    async with server.client(token_of(server, "third", Role.OPERATOR, Role.DECIDER)) as third:
        assert (await post(third, submission, "answer")).status_code == 204
        await post(clients["rita"], submission, "recommend", level="certified")
        answer = await post(third, submission, "decide", level="certified")
        assert refused_by(answer) == ["decider-took-part"]
        assert "third answered a question of the review" in answer.text


async def test_words_are_needed_and_only_who_has_the_scope_acts(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    for words in ("", "  \n ", "x" * 2001, "\x07"):
        assert (await post(clients["rita"], submission, "ask", words=words)).status_code == 422, words
    assert (await post(clients["rita"], submission, "decide", level=None)).status_code == 403
    assert (await post(clients["dora"], submission, "recommend", level=None)).status_code == 403
    assert (await post(clients["rita"], "sub-none", "ask")).status_code == 404
    assert (await post(clients["acme"], submission, "answer")).status_code == 409


async def test_the_journal_has_no_words_of_a_review(server: LabServer, clients: Clients) -> None:
    submission = await judged(server, clients["opal"])
    await post(clients["rita"], submission, "ask", words="Is Mr Miller reachable?")
    await post(clients["acme"], submission, "answer", words="Ask Mrs Smith.")
    await post(clients["rita"], submission, "recommend", level="certified", words="Mrs Smith knows.")
    await post(clients["dora"], submission, "decide", level="certified", words="As Mrs Smith says.")
    with server.parts.store.reading() as connection:
        journal = "\n".join(connection.exec_driver_sql("SELECT body FROM journal").scalars())
    assert "words_digest" in journal
    assert "Smith" not in journal
    assert "Miller" not in journal
