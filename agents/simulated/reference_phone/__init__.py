"""The reference phone: a SIP phone of our own that behaves rightly, with defects that can be switched on one by one.

It is a device under test, so it shares no protocol code with the instruments: what both got wrong nobody would see.

- ``message``: SIP messages read and written; ``addresses``: the values in their headers
- ``transport``, ``streams``: UDP, TCP and TLS; ``transactions``: what is repeated and matched (RFC 3261, 17)
- ``behaviour``: what the phone does at its points of decision; ``defects``: what can be wrong there
- ``phone``: the keys, and what comes; ``call``, ``dialog``: one call; ``registration``, ``digest``, ``accounts``
- ``renegotiation``, ``session_timer``, ``reliable``, ``transfer``, ``replaces``, ``subscriptions``: what a call may do
- ``session``: SDP offers and answers; ``media``, ``hearing``, ``srtp``: RTP and RTCP
- ``mouth``, ``playout``, ``sound``, ``tones``, ``keypad``: microphone, earpiece and codecs; ``jack``: its handset
- ``control``: the keys by TCP; ``equipment``: what all parts share
"""
