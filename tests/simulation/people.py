"""Operators in a simulated world: submit, and ask again until they are answered; cancel, hold, release."""

from typing import TYPE_CHECKING, Any

from lab_inventory.device import Product
from lab_inventory.errors import AssayError
from orchestrator.desk import BatchReply
from orchestrator.pipeline.submit import BatchRequest
from tests.orchestrator.small_programme import content
from tests.simulation.server import Down

if TYPE_CHECKING:
    from tests.simulation.world import World

AGAIN_S = 12.0


class People:
    """What they ordered, and what they were told."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.open_keys: set[str] = set()
        self.batches: list[str] = []
        self.held: set[str] = set()
        """Devices and batches that are held, from the server's own commit on."""
        self._keys = 0

    def submit(self) -> None:
        chance = self.world.chance
        self._keys += 1
        key = f"key-{self._keys}"
        submissions = tuple(
            content(
                title=f"phone {number}",
                product=Product(
                    maker="Acme",
                    model=chance.choice(self.world.models),
                    firmware="1.0" if chance.random() < 0.9 else "2.0",
                ),
            )
            for number in range(chance.randint(1, 3))
        )
        request = BatchRequest(title=key, programme="small", priority=chance.randint(1, 99), submissions=submissions)
        self.open_keys.add(key)
        self._send(key, request)

    def _send(self, key: str, request: BatchRequest) -> None:
        """The same key until there is an answer."""
        if key not in self.open_keys:
            return

        def told(reply: BatchReply) -> None:
            self.open_keys.discard(key)
            history = self.world.history
            history.accepted.setdefault(key, reply.batch)
            history.told.append((key, reply.batch))
            self.batches.append(reply.batch)
            self.world.server.changed = True

        def arrive() -> None:
            try:
                reply = self.world.server.ask(lambda desk: desk.submit("operator", request, key))
            except Down:
                return
            self.world.network.send("server", "people", lambda: told(reply))

        self.world.network.send("people", "server", arrive, f"{key} arrives at the server")
        self.world.events.after(AGAIN_S, "", lambda: self._send(key, request))

    def order(self) -> None:
        """Any order, on anything."""
        chance, server = self.world.chance, self.world.server
        if not server.alive:
            return
        if chance.random() < 0.2:
            self._quarantine_order()
        elif self.batches and chance.random() < 0.6:
            batch = chance.choice(self.batches[-3:])
            self._batch_order(batch, chance.choice(["cancel", "cancel", "hold", "release"]))
        else:
            devices = server.placed_devices()
            if devices:
                self._device_order(chance.choice(devices), chance.choice(["hold", "release", "release"]))

    def put_everything_back(self) -> None:
        """Nothing stays out: what was taken out by itself is put back in service."""
        if self.world.server.alive:
            for resource in self.world.server.quarantined():
                self._give(lambda desk, of=resource: self._care().put_back(of, "operator", "well"), f"back: {resource}")

    def _care(self) -> Any:
        return self.world.server.loop.care

    def _quarantine_order(self) -> None:
        out = self.world.server.quarantined()
        if not out:
            return
        resource = self.world.chance.choice(out)
        if self.world.chance.random() < 0.5:
            self._give(lambda desk: self._care().recover(resource, "operator"), f"recover {resource}")
        else:
            self._give(lambda desk: self._care().put_back(resource, "operator", ""), f"put back {resource}")

    def release_all(self) -> None:
        """Everything goes on."""
        for name in sorted(self.held):
            if name in self.batches:
                self._batch_order(name, "release")
            else:
                self._device_order(name, "release")

    def _batch_order(self, batch: str, order: str) -> None:
        def carry_out(desk: Any) -> None:
            if order == "cancel":
                desk.cancel_batch(batch, "operator", "not wanted")
                self.world.history.cancelled.add(batch)
                self.held.discard(batch)
            elif order == "hold":
                desk.hold_batch(batch, "operator", "wait")
                self.held.add(batch)
            else:
                desk.release_batch(batch, "operator")
                self.held.discard(batch)

        self._give(carry_out, f"{order} {batch}")

    def _device_order(self, device: str, order: str) -> None:
        def carry_out(desk: Any) -> None:
            if order == "hold":
                desk.hold_device(device, "operator", "broken")
                self.held.add(device)
            else:
                desk.release_device(device, "operator")
                self.held.discard(device)

        self._give(carry_out, f"{order} {device}")

    def _give(self, carry_out: Any, words: str) -> None:
        try:
            self.world.server.ask(carry_out)
            self.world.events.say(f"people: {words}")
        except (Down, AssayError):
            return
