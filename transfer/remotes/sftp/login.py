"""A login by key on a host that is known."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from transfer.errors import HostKeyMismatch, Refused, Unreachable
from transfer.remotes.sftp.line import Address
from transfer.remotes.sftp.words import words

if TYPE_CHECKING:
    import paramiko

FIRST_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # the fast ones


def login(address: Address, sock: socket.socket) -> paramiko.SSHClient:
    """An SSH connection; the host's key must be in `known_hosts`, the user is let in by `key_file` or not at all.

    Raises
    ------
    HostKeyMismatch
        The host key is unknown or another.
    Refused
        The login is refused, or a file of ours cannot be used.
    Unreachable
        Nobody answers within `timeout_s`.
    """
    import paramiko

    ssh = paramiko.SSHClient()
    try:
        _connect(ssh, address, sock)
    except paramiko.BadHostKeyException as error:
        ssh.close()
        raise HostKeyMismatch(f"{address} shows another host key than {address.known_hosts} has") from error
    except paramiko.AuthenticationException as error:
        ssh.close()
        if "timeout" in str(error).lower():
            raise Unreachable(f"{address}: {words(error)}") from error
        raise Refused(f"{address} does not let {address.user} in with {address.key_file}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        ssh.close()
        raise Unreachable(f"{address}: {words(error)}") from error
    except Refused:
        ssh.close()
        raise
    return ssh


def _connect(ssh: paramiko.SSHClient, address: Address, sock: socket.socket) -> None:
    import paramiko
    from paramiko.pkey import UnknownKeyType

    try:
        ssh.load_host_keys(str(address.known_hosts))
    except OSError as error:
        raise Refused(f"{address.known_hosts}: {error.strerror}: whom to trust is not known") from error
    ssh.set_missing_host_key_policy(_refusing_policy())
    try:
        key = paramiko.PKey.from_path(address.key_file)
    except (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType) as error:
        raise Refused(f"{address.key_file} is not a private key that can be used: {words(error)}") from error
    timeout_s = address.timeout_s
    ssh.connect(
        address.host,
        address.port,
        address.user,
        pkey=key,
        sock=sock,
        transport_factory=_fast_transport,
        timeout=timeout_s,
        banner_timeout=timeout_s,
        auth_timeout=timeout_s,
        channel_timeout=timeout_s,
        allow_agent=False,
        look_for_keys=False,
    )


def _refusing_policy() -> paramiko.MissingHostKeyPolicy:
    import paramiko

    class Refuse(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
            raise HostKeyMismatch(f"{hostname} shows a {key.get_name()} host key that known_hosts does not have")

    return Refuse()


def _fast_transport(sock: Any, **settings: Any) -> paramiko.Transport:
    """A transport that asks for AES-GCM first, for which processors have instructions."""
    import paramiko

    transport = paramiko.Transport(sock, **settings)
    options = transport.get_security_options()
    known = options.ciphers
    first = tuple(each for each in FIRST_CIPHERS if each in known)
    options.ciphers = first + tuple(each for each in known if each not in first)
    return transport
