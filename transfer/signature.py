"""Signed documents: an envelope round a document, signed with ed25519 (docs/formats.md section 6.1).

The signature is over the exact bytes of the body, and the envelope has one form only: a changed byte anywhere shows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from transfer.documents import MAX_DOCUMENT, dump, load
from transfer.durable import fsync_dir
from transfer.errors import BadDocument, Corrupt

VERSION: Final = 1
_MAX_KEY: Final = 16 << 10


def sign(body: bytes, key: Ed25519PrivateKey) -> bytes:
    """The envelope of a document: always the same bytes for the same body and key.

    Raises
    ------
    BadDocument
        The body is not text in UTF-8, or the envelope would be larger than a reader accepts.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDocument(f"signed.body: not UTF-8: {error}") from error
    envelope = _envelope(text, fingerprint(key.public_key()), key.sign(body))
    if len(envelope) > MAX_DOCUMENT:
        raise BadDocument(f"signed: {len(envelope)} bytes, expected at most {MAX_DOCUMENT}")
    return envelope


def open_signed(data: bytes, key: Ed25519PublicKey) -> bytes:
    """The body of an envelope, verified.

    Raises
    ------
    BadDocument
        It is no envelope, or not in the one form that `sign` writes.
    Corrupt
        It was signed with another key, or something in it was changed since.
    """
    fields = load(data, "signed", VERSION)
    body = fields.text("body", MAX_DOCUMENT)
    signer, encoded = fields.text("key", 256), fields.text("signature", 256)
    fields.done()
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        fields.refuse("signature", "base64", encoded)
    if _envelope(body, signer, signature) != data:
        raise BadDocument("signed: not in the form in which it is written")
    if signer != fingerprint(key):
        raise Corrupt(f"signed with the key {signer}, expected {fingerprint(key)}")
    try:
        key.verify(signature, body.encode())
    except InvalidSignature:
        raise Corrupt(f"the signature of {signer} does not fit what it signs") from None
    return body.encode()


def signed_body(data: bytes) -> bytes:
    """The body of an envelope whose signature is not looked at: only for one that was verified when it was taken.

    Raises
    ------
    BadDocument
        It is no envelope.
    """
    return load(data, "signed", VERSION).text("body", MAX_DOCUMENT).encode()


def fingerprint(key: Ed25519PublicKey) -> str:
    """`SHA256:…` of a public key, as `ssh-keygen -l` prints it."""
    wire = base64.b64decode(_public_line(key).split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).rstrip(b"=").decode()


def write_key_pair(path: Path, comment: str) -> Ed25519PublicKey:
    """Make a new key pair in OpenSSH's form: `path` (mode 0600) and `path.pub`.

    Raises
    ------
    FileExistsError
        One of the two is there already: a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    public = path.with_name(path.name + ".pub")
    line = _public_line(key.public_key()) + f" {comment}\n"
    if public.exists() or public.is_symlink():
        raise FileExistsError(17, "is there already", str(public))
    _write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), 0o600)
    _write_new(public, line.encode(), 0o644)
    fsync_dir(path.parent)
    return key.public_key()


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a file in OpenSSH's form, without a passphrase; BadDocument when it is not one."""
    try:
        key = load_ssh_private_key(_read_key(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadDocument(f"{path}: no private key in OpenSSH's form without a passphrase: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadDocument(f"{path}: expected an ed25519 key (nightferry keygen makes one)")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """The public key in a file in OpenSSH's form; BadDocument when it is not one."""
    try:
        key = load_ssh_public_key(_read_key(path).strip())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadDocument(f"{path}: no public key in OpenSSH's form: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadDocument(f"{path}: expected an ed25519 key (nightferry keygen makes one)")
    return key


def _envelope(body: str, signer: str, signature: bytes) -> bytes:
    encoded = base64.b64encode(signature).decode()
    return dump({"kind": "signed", "version": VERSION, "body": body, "key": signer, "signature": encoded})


def _public_line(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY)
    except OSError as error:
        raise BadDocument(f"{path}: the key cannot be read: {error.strerror}") from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
