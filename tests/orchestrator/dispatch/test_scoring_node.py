"""Where a recording may be scored: away from benches, else quietly at its own, and nowhere else."""

from typing import Any

from orchestrator.dispatch.scoring_node import NOWHERE, NOWHERE_NOW, scoring_node


def node(name: str, host: str = "", scoring: float = 0, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": 1.0} | ({"scoring": scoring} if scoring else {})
    return {"NodeID": name, "Alive": alive, "Resources": resources, "Labels": {"lab-host": host} if host else {}}


def at(*nodes: dict[str, Any], sending: bool = True, busy: dict[str, int] | None = None) -> tuple[str | None, str]:
    return scoring_node(nodes, host="host-1", sending=sending, benches=("host-1", "host-2"), busy=busy or {})


def test_a_node_without_a_bench_scores_while_the_bench_sends() -> None:
    assert at(node("a", "host-1"), node("b", scoring=2), sending=True) == ("b", "")


def test_the_bench_itself_scores_only_once_it_does_not_send() -> None:
    assert at(node("a", "host-1"), sending=True) == (None, NOWHERE_NOW)
    assert at(node("a", "host-1"), sending=False) == ("a", "")


def test_another_bench_never_scores_even_where_it_says_that_it_may() -> None:
    others = (node("c", "host-2", scoring=4), node("d", "host-3"))

    assert at(*others, sending=False) == (None, NOWHERE)


def test_a_dead_node_does_not_score_and_the_less_busy_one_is_taken() -> None:
    nodes = (node("a", "host-1"), node("b", scoring=9, alive=False), node("c", scoring=1), node("d", scoring=4))

    assert at(*nodes, busy={"c": 1, "d": 3}) == ("d", "")
    assert at(*nodes, busy={"d": 4}) == ("c", "")
