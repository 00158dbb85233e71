"""A sound card at a phone's handset socket, as the bench wants it (docs/how-to/audio-port.md)."""

from lab_inventory.errors import BadInput
from lab_inventory.noun import host_and_port


def address_of(text: str) -> tuple[str, int]:
    """Host and port of an address that a person typed. Raises BadInput."""
    try:
        return host_and_port(text)
    except ValueError as error:
        raise BadInput(f"{text} is no address; expected HOST:PORT") from error
