"""The reference phone: a SIP phone of our own that behaves rightly, with defects that can be switched on one by one.

It is a device under test, so it shares no protocol code with the instruments: what both got wrong nobody would see.

- ``message``: SIP messages read and written; ``addresses``: the values in their headers
- ``transport``, ``transactions``: datagrams, retransmission (RFC 3261, 17)
- ``behaviour``: what the phone does at its points of decision; ``defects``: what can be wrong there
- ``phone``: requests that come, and the keys; ``call``, ``dialog``: one call; ``registration``, ``digest``
- ``session``: SDP offers and answers; ``media``, ``tones``: RTP
- ``control``: the keys by TCP
"""
