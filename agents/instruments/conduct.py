"""How the bench behaves in one dialog. The default is an ordinary peer."""

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """What a :class:`~agents.instruments.dialog.Dialog` does when a phone asks; changed by replacing it as a whole.

    ``acknowledges``: a 2xx gets its ACK at once; else it is withheld until ``Dialog.acknowledge``.
    ``crosses_cancel``: a CANCEL finds its INVITE answered 200 just now, as if both had met on the wire.
    ``reinvite``: the status a re-INVITE gets; None leaves it open. ``bye``: the same for a BYE.
    ``refer``: the status a REFER gets; whoever says 202 here owes the phone its NOTIFYs.
    ``in_invite`` and ``in_ok``: headers that go into each INVITE of the bench, and into each 200 to INVITE or UPDATE.
    """

    acknowledges: bool = True
    crosses_cancel: bool = False
    reinvite: int | None = 200
    bye: int | None = 200
    refer: int = 603
    in_invite: Headers = ()
    in_ok: Headers = ()


ORDINARY = Conduct()
