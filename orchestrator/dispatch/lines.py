"""The JSON lines between the server and its Ray driver process. Nouns only."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from lab_inventory.noun import Noun


class Watch(Noun):
    """Keep a worker at each of these hosts."""

    op: Literal["watch"] = "watch"
    hosts: tuple[str, ...]


class Start(Noun):
    """Hand an assignment to a host's worker."""

    op: Literal["start"] = "start"
    call: int
    host: str
    inbox: str
    assignment_json: str


class Score(Noun):
    """Have a recording scored. ``host``: whose bench it comes from; ``sending``: whether calls may run there now.

    ``benches``: the hosts that have one. ``files``: where the recordings lie; what they are, ``sound_json`` says.
    """

    op: Literal["score"] = "score"
    call: int
    host: str
    sending: bool
    benches: tuple[str, ...]
    sound_json: str
    files: tuple[str, ...]


Order = Annotated[Watch | Start | Score, Field(discriminator="op")]
ORDER: TypeAdapter[Watch | Start | Score] = TypeAdapter(Order)


class Up(Noun):
    """The driver is connected to a Ray cluster."""

    told: Literal["up"] = "up"
    ray_version: str
    ray_node: str


class Worker(Noun):
    """A host's worker can or cannot be reached."""

    told: Literal["worker"] = "worker"
    host: str
    ready: bool
    reason: str = ""


class Answer(Noun):
    """What came of a call. ``answer`` None: unknown."""

    told: Literal["answer"] = "answer"
    call: int
    answer: str | None
    reason: str = ""
    ray_node: str = ""
    ray_actor: str = ""


class Scored(Noun):
    """What came of a score: JSON text, or None where it is not known or was not begun. ``nowhere``: no node may score
    it now.
    """

    told: Literal["scored"] = "scored"
    call: int
    score: str | None
    nowhere: bool = False
    reason: str = ""
    ray_node: str = ""


class Down(Noun):
    """The driver cannot go on; it exits after this."""

    told: Literal["down"] = "down"
    reason: str


Told = Annotated[Up | Worker | Answer | Scored | Down, Field(discriminator="told")]
TOLD: TypeAdapter[Up | Worker | Answer | Scored | Down] = TypeAdapter(Told)
