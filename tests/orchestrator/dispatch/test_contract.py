"""The contract of the port, held over every implementation: in process, the supervisor with a stand-in, and Ray."""

from dataclasses import replace

from lab_inventory.messages import Acceptance
from orchestrator.dispatch.port import Dispatcher
from orchestrator.loop import Dispatch, WorkerLost
from tests.orchestrator.dispatch.conftest import Told

HOST = frozenset({"host-1"})


async def test_an_assignment_is_accepted_and_the_answer_names_the_node_and_the_actor(
    dispatcher: Dispatcher, told: Told, dispatch: Dispatch
) -> None:
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    dispatcher.dispatch(dispatch)
    answer = await told.answer(dispatch.run)
    assert answer.answer is Acceptance.ACCEPTED
    assert answer.ray_node
    assert answer.ray_actor
    assert dispatcher.health == ""


async def test_each_call_gets_one_answer_of_its_own(dispatcher: Dispatcher, told: Told, dispatch: Dispatch) -> None:
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    for _ in range(3):
        dispatcher.dispatch(dispatch)
    await told.until(lambda events: len(told.answers(dispatch.run)) >= 3)
    await dispatcher.stop()
    assert len(told.answers(dispatch.run)) == 3


async def test_an_agent_that_cannot_be_reached_makes_the_answer_unknown(
    dispatcher: Dispatcher, told: Told, dispatch: Dispatch
) -> None:
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    dispatcher.dispatch(replace(dispatch, inbox=dispatch.inbox + ".not-there"))
    answer = await told.answer(dispatch.run)
    assert answer.answer is None
    assert answer.reason


async def test_a_call_before_anything_is_ready_is_unknown_and_raises_nothing(
    dispatcher: Dispatcher, told: Told, dispatch: Dispatch
) -> None:
    await dispatcher.start(told)
    dispatcher.dispatch(dispatch)
    assert (await told.answer(dispatch.run)).answer is None


async def test_a_host_without_a_worker_is_told_as_lost_with_a_reason(dispatcher: Dispatcher, told: Told) -> None:
    await dispatcher.start(told)
    dispatcher.watch(frozenset({"nowhere"}))
    events = await told.until(bool)
    lost = events[-1]
    assert isinstance(lost, WorkerLost)
    assert (lost.host, bool(lost.reason)) == ("nowhere", True)


async def test_nothing_is_told_after_the_end_and_the_health_says_so(
    dispatcher: Dispatcher, told: Told, dispatch: Dispatch
) -> None:
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    await dispatcher.stop()
    before = list(told.events)
    dispatcher.dispatch(dispatch)
    assert [event for event in told.events[len(before) :] if getattr(event, "answer", None)] == []
    assert dispatcher.health != ""


async def test_after_the_end_it_can_be_started_again_and_tells_of_every_host_anew(
    dispatcher: Dispatcher, told: Told, dispatch: Dispatch
) -> None:
    """As a server does that leads again."""
    await dispatcher.start(told)
    dispatcher.watch(HOST)
    await told.ready()
    await dispatcher.stop()
    again = Told()
    await dispatcher.start(again)
    dispatcher.watch(HOST)
    await again.ready()
    dispatcher.dispatch(dispatch)
    assert (await again.answer(dispatch.run)).answer is Acceptance.ACCEPTED
    assert dispatcher.health == ""
