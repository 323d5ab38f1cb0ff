"""A login by key on a host that is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transfer.errors import Refused, Unreachable

if TYPE_CHECKING:
    import paramiko


def login(
    host: str, port: int, user: str, *, key_file: Path, known_hosts: Path, timeout_s: float
) -> paramiko.SSHClient:
    """An SSH connection; the host's key must be in `known_hosts`, the user is let in by `key_file` or not at all.

    Raises
    ------
    Refused
        The host key is unknown or another, the login is refused, or a file of ours cannot be used.
    Unreachable
        Nobody answers within `timeout_s`.
    """
    import paramiko

    ssh = paramiko.SSHClient()
    try:
        _connect(ssh, host, port, user, key_file, known_hosts, timeout_s)
    except paramiko.BadHostKeyException as error:
        ssh.close()
        raise Refused(f"{host}:{port} shows another host key than {known_hosts} has") from error
    except paramiko.AuthenticationException as error:
        ssh.close()
        if "timeout" in str(error).lower():
            raise Unreachable(f"{host}:{port}: {words(error)}") from error
        raise Refused(f"{host}:{port} does not let {user} in with {key_file}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        ssh.close()
        raise Unreachable(f"{host}:{port}: {words(error)}") from error
    except Refused:
        ssh.close()
        raise
    return ssh


def _connect(
    ssh: paramiko.SSHClient, host: str, port: int, user: str, key_file: Path, known_hosts: Path, timeout_s: float
) -> None:
    import paramiko
    from paramiko.pkey import UnknownKeyType

    try:
        ssh.load_host_keys(str(known_hosts))
    except OSError as error:
        raise Refused(f"{known_hosts}: {error.strerror}: whom to trust is not known") from error
    ssh.set_missing_host_key_policy(_refusing_policy())
    try:
        key = paramiko.PKey.from_path(key_file)
    except (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType) as error:
        raise Refused(f"{key_file} is not a private key that can be used: {words(error)}") from error
    ssh.connect(
        host,
        port,
        user,
        pkey=key,
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
            raise Refused(f"{hostname} shows a {key.get_name()} host key that known_hosts does not have")

    return Refuse()


def words(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
