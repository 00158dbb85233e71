"""SRTP: protects what is sent and authenticates and decrypts what comes (RFC 3711), by the library libsrtp.

Takes and gives whole RTP packets as bytes. One object is one direction under one key.
"""

from pylibsrtp import Error, Policy, Session

from agents.instruments.sdes import Crypto, Suite

_PROFILES = {
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
_HEADER_BYTES = 12
_AHEAD_MAX = 1024


class SrtpSender:
    """What goes out under one key.

    Packets are protected ahead of their time, and some again with other contents after they were taken back: whoever
    sends sees to it that of each index at most one goes out (RFC 3711, 9.1).
    """

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        policy = _policy(crypto, Policy.SSRC_ANY_OUTBOUND)
        policy.allow_repeat_tx, policy.window_size = True, _AHEAD_MAX
        self._session = Session(policy=policy)

    def protect(self, packet: bytes) -> bytes:
        """The packet encrypted, with its authentication tag."""
        return bytes(self._session.protect(packet))


class SrtpReceiver:
    """What comes in under one key."""

    def __init__(self, crypto: Crypto) -> None:
        self.crypto = crypto
        self._session = Session(policy=_policy(crypto, Policy.SSRC_ANY_INBOUND))

    def unprotect(self, data: bytes) -> bytes | None:
        """The packet in clear; None where it does not authenticate under this key, or its index came before (3.3.2)."""
        if len(data) < _HEADER_BYTES + self.crypto.suite.tag_bytes:
            return None
        try:
            return bytes(self._session.unprotect(data))
        except Error:
            return None

    def unprotect_rtcp(self, data: bytes) -> bytes | None:
        """An RTCP packet in clear; None where it does not authenticate (RFC 3711, 3.4: its tag is always there)."""
        try:
            return bytes(self._session.unprotect_rtcp(data))
        except Error:
            return None


def _policy(crypto: Crypto, direction: int) -> Policy:
    return Policy(key=crypto.master, ssrc_type=direction, srtp_profile=_PROFILES[crypto.suite])
