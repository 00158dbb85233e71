"""A driver process without Ray, for tests of the supervisor: one worker, at host-1, whose agent is the file ``inbox``.

An inbox that does not exist is unreachable; one named ``…/silent`` never answers; one named ``…/garbage`` makes the
driver say something that cannot be understood. A score for the host ``dies`` ends it; any other is what was asked.
"""

import sys
from pathlib import Path

from orchestrator.dispatch.lines import ORDER, Answer, Down, Score, Scored, Up, Watch, Worker


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(told: Up | Worker | Answer | Scored | Down) -> None:
    say(told.model_dump_json())


def main() -> None:
    if "--refuse" in sys.argv:
        tell(Down(reason="no Ray cluster answers at 192.0.2.1:6379"))
        return
    tell(Up(ray_version="0", ray_node="node-1"))
    for line in sys.stdin:
        order = ORDER.validate_json(line)
        if isinstance(order, Watch):
            for host in order.hosts:
                ready = host == "host-1"
                tell(Worker(host=host, ready=ready, reason="" if ready else f"no Ray node has the label {host}"))
        elif isinstance(order, Score):
            if order.host == "dies":
                return
            tell(Scored(call=order.call, score=order.sound_json, ray_node="node-1"))
        elif order.inbox.endswith("/garbage"):
            say("this is no JSON")
        elif not order.inbox.endswith("/silent"):
            there = Path(order.inbox).exists() and order.host == "host-1"
            tell(
                Answer(
                    call=order.call,
                    answer="accepted" if there else "unreachable",
                    reason="" if there else "the inbox does not answer",
                    ray_node="node-1" if there else "",
                    ray_actor="actor-1" if there else "",
                )
            )


if __name__ == "__main__":
    main()
