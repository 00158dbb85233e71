"""The only Ray driver: a process of its own, so that the server outlives whatever becomes of Ray.

Orders come as JSON lines on standard input, answers go out on standard output. When the input ends, the server is
gone: the Ray that was started here is stopped, and the process exits. Workers are kept up in a loop of their own and
never made while dispatching, because making one can fail for reasons of unrelated nodes.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TextIO

from lab_inventory.clock import SystemClock
from lab_inventory.ray_access import DOOR_STANDS, HOST_LABEL, SCORING, RayAccess, door_label, what_ray_means
from orchestrator.dispatch.lines import ORDER, Answer, Down, Score, Scored, Start, Up, Watch, Worker
from orchestrator.dispatch.scoring_node import scoring_node

CALL_TIMEOUT_S = 10.0
CREATE_TIMEOUT_S = 60.0
SCORE_TIMEOUT_S = 180.0
PROBE_S = 5.0
HEAD_LOOK_S = 3.0
CONNECT_TIMEOUT_S = 5.0
FAILURES_MAX = 6
OBJECT_STORE_BYTES = 80 * 1024 * 1024
LINE_BYTES_MAX = 8_000_000


def main() -> None:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address")
    parser.add_argument("--access", type=RayAccess.model_validate_json, default=RayAccess())
    parser.add_argument("--local-host", action="append", default=[])
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    # Ray and its children write to the descriptors 1 and 2 as they like; our lines get one of their own.
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    try:
        driver = Driver(out)
        node = _connect(options.address, options.local_host, options.folder, options.access)
        asyncio.run(driver.run(node, options.address))
    except Exception as error:  # Ray raises what it likes; whatever it was, the server is told why
        reason = str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"
        out.write(Down(reason=reason[:1000]).model_dump_json() + "\n")
    finally:
        _disconnect()
        shutil.rmtree(options.folder, ignore_errors=True)


def _connect(address: str | None, local_hosts: list[str], folder: Path, access: RayAccess) -> str:
    """Connect to the cluster at ``address``, or start a Ray of our own; gives the id of this node.

    Raises RuntimeError, or whatever Ray does, where that cannot be.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # A Ray of our own listens on this machine: only who has the token, which dies with it, may use it.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = SystemClock().token("")
    else:
        if wrong := access.unusable():
            raise RuntimeError(wrong)
        os.environ.update(access.environment(os.environ))
        _require_reachable(address)
    import ray  # noqa: PLC0415  (after the environment is set, which Ray reads when it is imported)

    # Tasks and actors must not see another Ray's address, and pickles are Ray's own affair: only text crosses.
    common: dict[str, Any] = {"namespace": "assay", "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            labels={HOST_LABEL: local_hosts[0], **{door_label(host): DOOR_STANDS for host in local_hosts}},
            # Ray opens its directory to everybody; the private one around it keeps its sockets to this user.
            _temp_dir=str(folder / "r"),
            _node_ip_address="127.0.0.1",
            **common,
        )
    else:
        try:
            # A wrong token is told here within a second; ray.init would try for 20 s and not say why.
            internals: Any = ray._raylet
            internals.GcsClient(address=address)
            ray.init(address=address, **common)
        except Exception as error:
            meaning = what_ray_means(f"{type(error).__name__}: {error}", address=address, access=access)
            raise RuntimeError(meaning or f"{type(error).__name__}: {error}") from error
    return str(ray.get_runtime_context().get_node_id())


def _require_reachable(address: str) -> None:
    """Ray waits for minutes for a dead address: look at the port first."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise RuntimeError(f"no Ray cluster answers at {address}: {error}") from error


def _disconnect() -> None:
    if "ray" in sys.modules:
        with suppress(Exception):
            sys.modules["ray"].shutdown()


class Driver:
    """Reads orders, keeps workers, makes calls."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._workers: dict[str, Any] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._scoring: Counter[str] = Counter()
        self._hopeless = asyncio.Event()

    async def run(self, node: str, address: str | None) -> None:
        """Serve orders until the input ends, the cluster's head is away, or no worker can be made any more."""
        import ray  # noqa: PLC0415

        self._tell(Up(ray_version=ray.__version__, ray_node=node))
        reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        ends = {asyncio.create_task(self._serve(reader)), asyncio.create_task(self._give_up())}
        if address is not None:
            ends.add(asyncio.create_task(self._miss_head(address)))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, *self._keepers.values()):
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            order = ORDER.validate_json(line)
            if isinstance(order, Watch):
                self._watch(frozenset(order.hosts))
            else:
                going = self._score(order) if isinstance(order, Score) else self._call(order)
                call = asyncio.create_task(going)
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def _give_up(self) -> None:
        # After a restart of the cluster's head an old driver can call actors and make none: only a new one can.
        await self._hopeless.wait()
        self._tell(Down(reason="Ray makes no worker for this driver any more; a new driver is started"))

    async def _miss_head(self, address: str) -> None:
        """Ends once the head does not answer twice in a row; Ray says nothing of it for a minute, then aborts."""
        missed = ""
        while True:
            await asyncio.sleep(HEAD_LOOK_S)
            try:
                await asyncio.to_thread(_require_reachable, address)
                missed = ""
            except RuntimeError as error:
                if missed:
                    self._tell(Down(reason=str(error)))
                    return
                missed = str(error)

    def _tell(self, told: Up | Worker | Answer | Scored | Down) -> None:
        self._out.write(told.model_dump_json() + "\n")

    def _watch(self, hosts: frozenset[str]) -> None:
        """Keep a worker at each of ``hosts``, each in a task of its own: a dead host delays no other."""
        for host in self._keepers.keys() - hosts:
            self._keepers.pop(host).cancel()
        for host in hosts - self._keepers.keys():
            self._keepers[host] = asyncio.create_task(self._keep(host))

    async def _keep(self, host: str) -> None:
        told: tuple[bool, str] | None = None
        failures = 0
        while True:
            ready, reason = await self._look_after(host)
            if told != (ready, reason):
                told = ready, reason
                self._tell(Worker(host=host, ready=ready, reason=reason))
            failures = 0 if host in self._workers else failures + 1
            if failures == FAILURES_MAX:
                self._hopeless.set()
            await asyncio.sleep(PROBE_S)

    async def _look_after(self, host: str) -> tuple[bool, str]:
        """Make the worker of a host where there is none, and ask it whether it is there."""
        try:
            worker = self._workers.get(host)
            if worker is None:
                worker = self._workers[host] = await asyncio.to_thread(_worker_of, host)
                await asyncio.wait_for(worker.ping.remote(), CREATE_TIMEOUT_S)
            else:
                await asyncio.wait_for(worker.ping.remote(), CALL_TIMEOUT_S)
        except TimeoutError:
            return False, f"no Ray node that has the door of {host} answers: does its agent join the cluster?"
        except Exception as error:  # Ray raises what it likes; none of it may end this process
            self._workers.pop(host, None)
            return False, f"its Ray worker failed: {type(error).__name__}"
        return True, ""

    async def _call(self, order: Start) -> None:
        worker = self._workers.get(order.host)
        if worker is None:
            self._tell(Answer(call=order.call, answer=None, reason="the Ray worker is not there"))
            return
        try:
            text = await asyncio.wait_for(worker.start.remote(order.inbox, order.assignment_json), CALL_TIMEOUT_S)
            said = json.loads(text)
            answer = Answer(
                call=order.call,
                answer=said["answer"],
                reason=said["reason"][:1000],
                ray_node=said["ray_node"],
                ray_actor=said["ray_actor"],
            )
        except Exception as error:  # whatever went wrong, it is not known whether the agent has it
            answer = Answer(call=order.call, answer=None, reason=f"the call failed: {type(error).__name__}")
        self._tell(answer)

    async def _score(self, order: Score) -> None:
        """Carry a recording to a node and its score back. A node that dies meanwhile takes nothing with it: asked for
        again, the score is the same.
        """
        import ray  # noqa: PLC0415

        node = None
        try:
            nodes = await asyncio.to_thread(ray.nodes)
            node, reason = scoring_node(
                nodes, host=order.host, sending=order.sending, benches=order.benches, busy=self._scoring
            )
            if node is None:
                self._tell(Scored(call=order.call, score=None, nowhere=True, reason=reason))
                return
            self._scoring[node] += 1
            contents = await asyncio.to_thread(lambda: [Path(file).read_bytes() for file in order.files])
            score = _scorer_at(node, nodes).remote(order.sound_json, contents)
            try:
                text = await asyncio.wait_for(score, SCORE_TIMEOUT_S)
            except TimeoutError:
                ray.cancel(score, force=True)
                raise
            told = Scored(call=order.call, score=text, ray_node=node)
        except Exception as error:  # Ray raises what it likes; whatever it was, it is not known what became of it
            told = Scored(call=order.call, score=None, reason=f"the scoring failed: {type(error).__name__}")
        finally:
            if node is not None:
                self._scoring[node] -= 1
        self._tell(told)


def _scorer_at(node: str, nodes: Sequence[Mapping[str, Any]]) -> Any:
    """The function that scores, pinned to a node: within what it scores at once, or one at a time beside a bench."""
    import ray  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    (found,) = entry_points(group="assay.ray_scorer", name="recording")
    scores = any(one["NodeID"] == node and one["Resources"].get(SCORING, 0) > 0 for one in nodes)
    needs: dict[str, Any] = {"num_cpus": 0, "resources": {SCORING: 1}} if scores else {"num_cpus": 1}
    return ray.remote(max_retries=0)(found.load()).options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False), **needs
    )


def _worker_of(host: str) -> Any:
    """The named worker of a host; made where it is not there. It outlives this process."""
    import ray  # noqa: PLC0415

    (found,) = entry_points(group="assay.ray_worker", name="lab-host")
    remote = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)(found.load())
    return remote.options(
        name=f"assay-host-{host}",
        lifetime="detached",
        get_if_exists=True,
        label_selector={door_label(host): DOOR_STANDS},
        max_concurrency=64,
    ).remote()


if __name__ == "__main__":
    main()
