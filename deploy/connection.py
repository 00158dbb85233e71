"""One host over SSH: running scripts and uploading files. The only file that touches asyncssh.

The host's key is pinned: it must stand in the known-hosts file. Nothing of this machine is used but the one key file
that the rollout file names: no agent, no forwarding, no ``~/.ssh/config``, no password.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import asyncssh

from deploy.rollout_file import Rollout, Target
from lab_inventory.errors import AssayError, BadInput, Conflict, Forbidden, Unavailable

KEEPALIVE_S = 15
OUTPUT_MAX = 100_000
CHUNK_BYTES = 65_536


class CommandFailed(AssayError):
    """A command on the host failed"""

    slug = "command-failed"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a script ended and what it said."""

    status: int
    out: str
    err: str


def check_key_file(path: Path) -> None:
    """Raise BadInput where a private key is not there, or others than its owner could have read or changed it."""
    try:
        found = path.stat()
    except OSError as error:
        raise BadInput(f"ssh.key_file {path}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"ssh.key_file {path}: is no file")
    if found.st_uid not in (os.geteuid(), 0):
        raise BadInput(f"ssh.key_file {path}: belongs to somebody else; expected you or root")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise BadInput(f"ssh.key_file {path}: has mode {mode:04o}, so others can use it; expected 0600 (chmod 600)")


class HostConnection:
    """Scripts are shell text for ``sh``; they run as root, through sudo where the user is another."""

    def __init__(self, connection: asyncssh.SSHClientConnection, *, user: str, command_s: float) -> None:
        self._connection = connection
        self._user = user
        self._command_s = command_s

    async def run(self, script: str, *, told: str = "", timeout_s: float | None = None) -> Answer:
        """Run a script; ``told`` goes to its standard input, where no process list shows it.

        Raises Unavailable where the connection breaks or the time is over.
        """
        timeout_s = timeout_s or self._command_s
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._connection.create_process(self._as_root(script), errors="replace") as process,
            ):
                # A short command may be over before it could be told anything: its status says whether that was well.
                with suppress(BrokenPipeError):
                    process.stdin.write(told)
                    process.stdin.write_eof()
                out, err = await asyncio.gather(_capped(process.stdout), _capped(process.stderr))
                await process.wait_closed()
        except TimeoutError as error:
            raise Unavailable(f"a command was not over after {timeout_s:g} s") from error
        except (asyncssh.Error, OSError) as error:
            raise Unavailable(f"the connection broke: {_words(error)}") from error
        if process.exit_status is None:
            raise Unavailable("the connection broke before a command had ended")
        return Answer(status=process.exit_status, out=out, err=err)

    async def must(self, script: str, what: str, *, told: str = "", timeout_s: float | None = None) -> str:
        """Run a script that must succeed and give what it printed; raises CommandFailed in the host's own words."""
        answer = await self.run(script, told=told, timeout_s=timeout_s)
        if answer.status:
            said = "".join(c if c.isprintable() else " " for c in (answer.err.strip() or answer.out.strip())[-600:])
            raise CommandFailed(f"{what} failed with status {answer.status}: {said or 'it said nothing'}")
        return answer.out

    async def own(self, path: str) -> None:
        """Give a directory to the user of the connection, so that files can be uploaded into it."""
        await self.must(
            f"chown {quote(self._user)} {quote(path)} && chmod 0700 {quote(path)}", "making room for uploads"
        )

    async def upload(self, local: Path, remote: str) -> None:
        """Upload a file by SFTP; raises Unavailable where the connection breaks, CommandFailed where it is refused."""
        try:
            async with self._connection.start_sftp_client() as sftp:
                await sftp.put(str(local), remote)
        except asyncssh.SFTPError as error:
            raise CommandFailed(f"uploading {local.name} failed: {_words(error)}") from error
        except (asyncssh.Error, OSError) as error:
            raise Unavailable(f"the connection broke: {_words(error)}") from error

    @asynccontextmanager
    async def alone(self, directory: str) -> AsyncIterator[None]:
        """Be the only rollout of a host while this lasts; the lock is let go of whatever ends the connection.

        Raises Conflict where another rollout has it.
        """
        path = quote(directory)
        hold = f"mkdir -p {path} && exec flock -n {path}/rollout.lock sh -c 'echo locked; exec cat >/dev/null'"
        try:
            process = await self._connection.create_process(self._as_root(hold))
            said = await asyncio.wait_for(process.stdout.readline(), self._command_s)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"the connection broke: {_words(error)}") from error
        if str(said).strip() != "locked":
            process.close()
            raise Conflict(f"another rollout is at work on this host ({directory}/rollout.lock is held)")
        try:
            yield
        finally:
            process.stdin.write_eof()
            process.close()

    def _as_root(self, script: str) -> str:
        return f"sh -c {quote(script)}" if self._user == "root" else f"sudo -n -- sh -c {quote(script)}"


@asynccontextmanager
async def connected(rollout: Rollout, target: Target) -> AsyncIterator[HostConnection]:
    """A connection to a host whose key is the pinned one.

    Raises Forbidden where it is not or where we are not let in, Unavailable where nobody answers.
    """
    ssh = rollout.ssh
    user, port = target.user or ssh.user, target.port or ssh.port
    try:
        connection = await asyncssh.connect(
            target.address,
            port=port,
            username=user,
            known_hosts=str(ssh.known_hosts),
            client_keys=[str(ssh.key_file)],
            config=None,
            agent_path=None,
            agent_forwarding=False,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_auth=False,
            gss_kex=False,
            connect_timeout=ssh.connect_timeout_s,
            login_timeout=ssh.connect_timeout_s * 2,
            keepalive_interval=KEEPALIVE_S,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise Forbidden(_of_key(ssh.known_hosts, target.address, port)) from error
    except asyncssh.PermissionDenied as error:
        raise Forbidden(f"{user}@{target.address}: the key {ssh.key_file.name} is not let in") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise BadInput(
            f"ssh.key_file {ssh.key_file}: {_words(error)}; expected a private key without a passphrase"
        ) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise Unavailable(f"{target.address} port {port} cannot be reached: {_words(error)}") from error
    async with connection:
        yield HostConnection(connection, user=user, command_s=rollout.limits.command_s)


def check_known_hosts(path: Path) -> None:
    """Raise BadInput where the file of pinned keys is not there or cannot be read as one."""
    try:
        asyncssh.read_known_hosts(str(path))
    except OSError as error:
        raise BadInput(
            f"ssh.known_hosts {path}: {error.strerror}; hosts are not spoken with unless they are in it"
        ) from error
    except ValueError as error:
        raise BadInput(f"ssh.known_hosts {path}: {error}") from error


_COMPARE = "compare its fingerprint at the host itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"


def _of_key(known_hosts: Path, address: str, port: int) -> str:
    keys, _, revoked, *_ = asyncssh.read_known_hosts(str(known_hosts)).match(address, address, port)
    name = address if port == 22 else f"[{address}]:{port}"
    if revoked:
        return f"the key of {name} is revoked in {known_hosts.name}"
    if keys:
        return (
            f"the key of {name} is not the one in {known_hosts.name}: THE HOST WAS SET UP AGAIN OR IS NOT THE HOST; "
            f"{_COMPARE} before you change the entry"
        )
    return f"{name} is not in {known_hosts.name}: its key is not known; {_COMPARE}, then add it"


async def _capped(reader: asyncssh.SSHReader[str]) -> str:
    """Everything to the end of a stream, of which only the first part is kept."""
    kept, size = [], 0
    while chunk := await reader.read(CHUNK_BYTES):
        if size < OUTPUT_MAX:
            kept.append(chunk[: OUTPUT_MAX - size])
        size += len(chunk)
    return "".join(kept)


def _words(error: BaseException) -> str:
    text = str(getattr(error, "reason", "") or error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text)[:300]
