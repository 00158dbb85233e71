"""``assay subscriptions``: who is told of which events, where."""

from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.lifecycle.subscription import Way

app = typer.Typer(help="Who is told of which events, by webhook or email.", no_args_is_help=True)
Subscription = Annotated[str, typer.Argument(help="Its name.")]
COLUMNS = ("subscription", "state", "way", "target", "events", "waiting", "delivered", "passed_over", "said", "reason")


@app.command()
def add(
    subscription: Subscription,
    target: Annotated[str, typer.Argument(help="https://... or name@example.org")],
    event: Annotated[list[str], typer.Option("--event", help="May be given several times; see 'events'.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Tell somebody of events from now on; prints the secret that signs webhooks, once."""
    way = Way.WEBHOOK if "://" in target else Way.EMAIL
    body = {"subscription": subscription, "way": way.value, "target": target, "events": event}
    secret = Client(server).send("POST", "/v1/subscriptions", body)["secret"]
    typer.echo(f"{subscription} is told of {', '.join(event)}")
    if secret:
        typer.echo(f"webhooks are signed with: {secret}")


@app.command("list")
def list_subscriptions(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Every subscription: what waits, what was delivered, what was said last."""
    rows = Client(server).get("/v1/subscriptions")
    show(rows if output == "json" else [row | {"events": ", ".join(row["events"])} for row in rows], COLUMNS, output)


@app.command()
def events(server: Server = DEFAULT_SERVER) -> None:
    """The events that can be subscribed to."""
    typer.echo("\n".join(Client(server).get("/v1/events-to-subscribe")))


@app.command()
def test(subscription: Subscription, server: Server = DEFAULT_SERVER) -> None:
    """Send a test notice now. Status 1 where it did not arrive."""
    found = Client(server).send("POST", f"/v1/subscriptions/{subscription}/test")
    typer.echo(("arrived: " if found["arrived"] else "did not arrive: ") + found["said"])
    if not found["arrived"]:
        raise typer.Exit(1)


@app.command()
def resume(subscription: Subscription, server: Server = DEFAULT_SERVER) -> None:
    """Send what waited while it was paused."""
    Client(server).send("POST", f"/v1/subscriptions/{subscription}/resume")
    typer.echo(f"{subscription} goes on")


@app.command()
def remove(subscription: Subscription, server: Server = DEFAULT_SERVER) -> None:
    """Tell this one nothing any more."""
    Client(server).send("POST", f"/v1/subscriptions/{subscription}/remove")
    typer.echo(f"{subscription} is removed")
