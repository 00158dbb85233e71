"""``assay reviews`` and ``assay decide``: reviewing judged submissions, and deciding about them."""

import json
from typing import Annotated, Any

import typer

from lab_inventory.errors import BadInput
from orchestrator.authority.review import Waits
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="Reviews of judged submissions.", no_args_is_help=True)
Submission = Annotated[str, typer.Argument(help="A submission, as 'assay reviews list' names it.")]
Words = Annotated[str, typer.Option("--words", help="What you say of it.")]
Level = Annotated[str | None, typer.Option("--grant", help="The level to grant, at most the one that was earned.")]
Refuse = Annotated[bool, typer.Option("--refuse", help="Grant nothing.")]
COLUMNS = ("submission", "title", "vendor", "product", "programme", "earned", "state", "changed_at")


@app.command("list")
def list_reviews(
    waits_for: Annotated[Waits | None, typer.Option(help="Only those that wait for this.")] = None,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Reviews; of those that wait for something, the one that waits longest first."""
    query = {"waits_for": waits_for.value} if waits_for else {}
    show(Client(server).get("/v1/reviews", **query), COLUMNS, output)


@app.command("show")
def show_review(submission: Submission, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """A review: what was judged, what was said, and everything that prevents a decision."""
    found = Client(server).get(f"/v1/reviews/{submission}")
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    if output != "table":
        raise BadInput(f"output {output!r}; expected table or json")
    for line in _lines(found):
        typer.echo(line)


def _lines(found: dict[str, Any]) -> list[str]:
    waits = "" if found["waits_for"] == "nothing" else f", waits for {found['waits_for']}"
    lines = [f"{found['submission']} {found['content']['title']}: {found['state']}{waits}"]
    lines += [f"  {level['words']}" for level in found["judgement"]]
    for entry in found["entries"]:
        level = f" ({entry['level'] or 'refuse'})" if "level" in entry else ""
        lines.append(f"{entry['kind']}{level} by {entry['by']}: {entry['words']}")
    decision = found["decision"]
    if decision:
        lines.append(f"decided by {decision['by']}: {decision['level'] or 'refused'}: {decision['words']}")
    if found["certificate"]:
        lines.append(f"certificate {found['certificate']}")
    if "prevents" in found and found["waits_for"] != "nothing":
        prevents = found["prevents"]
        for what, name in ((f"granting {prevents['level']}", "grant"), ("refusing", "refusal")):
            lines.append(f"{what} is prevented by:" if prevents[name] else f"{what} is prevented by nothing")
            lines += [f"  {one['rule']}: {one['words']}; expected {one['expected']}" for one in prevents[name]]
    return lines


@app.command()
def ask(submission: Submission, words: Words, server: Server = DEFAULT_SERVER) -> None:
    """Ask the vendor; one question at a time waits for its answer."""
    Client(server).send("POST", f"/v1/reviews/{submission}/ask", {"words": words})
    typer.echo(f"the review of {submission} waits for an answer")


@app.command()
def answer(submission: Submission, words: Words, server: Server = DEFAULT_SERVER) -> None:
    """Answer the question that waits: as its vendor, or as an operator for it."""
    Client(server).send("POST", f"/v1/reviews/{submission}/answer", {"words": words})
    typer.echo(f"the question about {submission} is answered")


@app.command()
def recommend(
    submission: Submission, words: Words, grant: Level = None, refuse: Refuse = False, server: Server = DEFAULT_SERVER
) -> None:
    """Recommend to the decider what to do: --grant LEVEL or --refuse."""
    body = {"level": _level(grant, refuse), "words": words}
    Client(server).send("POST", f"/v1/reviews/{submission}/recommend", body)
    typer.echo(f"{submission} waits for a decision")


@app.command("return")
def give_back(submission: Submission, words: Words, server: Server = DEFAULT_SERVER) -> None:
    """Return it to the vendor with questions that only another submission can answer."""
    Client(server).send("POST", f"/v1/reviews/{submission}/return", {"words": words})
    typer.echo(f"{submission} is returned to its vendor")


def decide(
    submission: Submission,
    words: Words,
    grant: Level = None,
    refuse: Refuse = False,
    provisional_until: Annotated[
        str | None, typer.Option(help="Grant provisionally, up to and including this day: YYYY-MM-DD.")
    ] = None,
    open_conditions: Annotated[
        str | None, typer.Option(help="What is open, in sentences: everybody sees it. With --provisional-until.")
    ] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Decide about a reviewed submission: --grant LEVEL or --refuse."""
    if (provisional_until is None) != (open_conditions is None):
        raise BadInput("--provisional-until and --open-conditions go together")
    body: dict[str, Any] = {"level": _level(grant, refuse), "words": words}
    if provisional_until is not None:
        body["provisional"] = {"ends_on": provisional_until, "conditions": open_conditions}
    made = Client(server).send("POST", f"/v1/reviews/{submission}/decide", body)
    how = f" provisionally until {provisional_until}" if provisional_until else ""
    granted = f"granted {grant}{how}, certificate {made['certificate']}" if made["certificate"] else "refused"
    typer.echo(f"{made['decision']}: {granted}")


def _level(grant: str | None, refuse: bool) -> str | None:
    if (grant is not None) == refuse:
        raise BadInput("give either --grant LEVEL or --refuse")
    return grant
