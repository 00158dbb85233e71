"""A sound interface as a process: an address, a card, and a stop by SIGTERM or SIGINT."""

import signal
import socket
import threading

from agents.logs import Log
from agents.sound_interface import address_of
from agents.sound_interface.bridge import Card, serve
from lab_inventory.errors import Unavailable

RECEIVE_BYTES = 1 << 20


def serve_card(listen: str, card: Card, log: Log) -> None:
    """Serve until a signal. Raises BadInput for what is no address, Unavailable where it or the card cannot be had."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    address = address_of(listen)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.setblocking(False)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        try:
            port.bind(address)
        except OSError as error:
            raise Unavailable(f"{listen} is not to be had: {error.strerror or error}") from error
        serve(port, card, stop, lambda words: log.info("sound-interface", words=words))
