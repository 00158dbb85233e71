"""Sending one notice by email, through the operator's SMTP server."""

import re
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from lab_inventory.clock import Clock
from orchestrator.settings import Settings, SmtpSecurity
from orchestrator.webhook import Said

TIMEOUT_S = 15.0
"""For each step of the conversation."""
ADDRESS_LENGTH_MAX = 254
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def why_no_address(text: str) -> str:
    """Why this is no address of a mailbox, or nothing."""
    return (
        "" if len(text) <= ADDRESS_LENGTH_MAX and _MAILBOX.fullmatch(text) else "is no address such as name@example.org"
    )


class Mail:
    """Sends plain text; a server without TLS is spoken to on this machine only."""

    def __init__(self, settings: Settings, clock: Clock, *, trust: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._trust = trust or ssl.create_default_context()

    @property
    def why_not(self) -> str:
        """Why no email can be sent, or nothing."""
        if not self._settings.smtp_host or not self._settings.smtp_from:
            return "no mail server is set: ASSAY_SMTP_HOST and ASSAY_SMTP_FROM"
        return ""

    def send(self, to: str, delivery: str, subject: str, text: str) -> Said:
        """Send one; the Message-ID is the same on every try, so that a mailbox shows it once."""
        settings = self._settings
        if self.why_not:
            return Said(arrived=False, words=self.why_not)
        message = EmailMessage()
        message["Subject"] = _one_line(subject)
        message["From"], message["To"] = settings.smtp_from, to
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{delivery}@assay>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            with self._connected() as server:
                if settings.smtp_user:
                    server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()), (0, b""))[0]
            return Said(arrived=False, words=f"{settings.smtp_host} refuses the recipient ({code})")
        except smtplib.SMTPResponseException as error:
            return Said(arrived=False, words=f"{settings.smtp_host} answered {error.smtp_code}")
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "no TLS there"
            return Said(arrived=False, words=f"{settings.smtp_host}: TLS failed: {reason}")
        except (OSError, smtplib.SMTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            return Said(arrived=False, words=f"{settings.smtp_host}: {why}")
        return Said(arrived=True, words=f"{settings.smtp_host} took it")

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        where = (settings.smtp_host, settings.smtp_port)
        if settings.smtp_security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(*where, timeout=TIMEOUT_S, context=self._trust)
        server = smtplib.SMTP(*where, timeout=TIMEOUT_S)
        if settings.smtp_security is SmtpSecurity.STARTTLS:
            server.starttls(context=self._trust)
        return server


def _one_line(text: str) -> str:
    # Python's email library decodes what looks like an encoded word, line ends and all, and writes that as the header.
    return "".join(char if char.isprintable() else " " for char in text).replace("=?", "= ?")[:200]
