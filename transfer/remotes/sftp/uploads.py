"""The files that are on their way at the same time, and which piece of which goes next. All with the lock held."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from transfer.errors import TransferError
from transfer.remotes.base import Put
from transfer.remotes.sftp import scripts, wire
from transfer.remotes.sftp.session import Chunk, Session
from transfer.remotes.sftp.task import Task
from transfer.remotes.sftp.upload import Memory, Upload

AHEAD: Final = 16  # files that are opened before all of them has left
ALIVE: Final = 64  # files that wait for anything
IN_FLIGHT: Final = 32 << 20  # bytes of files that are begun, or that have left, and are not acknowledged
MEMORIES: Final = 64


class Uploads:
    """Files on their way.

    Parameters
    ----------
    lock
        Of the board; `read` of a chunk takes it, everything else is called with it.
    changed
        Told after everything that the caller, or a session that waits, may want to know.
    """

    def __init__(self, lock: threading.RLock, changed: Callable[[], None]) -> None:
        self._lock = lock
        self._changed = changed
        self._memories: dict[str, Memory] = {}
        self._in_flight = 0
        self.on_way: dict[str, Upload] = {}
        self.told: deque[int] = deque()  # bytes that left, for the caller
        self.done: deque[Put] = deque()
        self.error: TransferError | OSError | None = None  # the first

    def begin(self, put: Put, path: str, home: Session, *, parallel: bool) -> None:
        """Start a put; an OSError of the local file is noted."""
        try:
            upload = Upload(put, path, home, parallel=parallel, memory=self._memories.get(path))
        except OSError as error:
            self.error = self.error or error
            return
        self.on_way[path] = upload
        upload.task = Task(home, upload.script(self._planned), lambda _, error: self._ended(upload, error))
        upload.task.start()

    def hungry(self) -> bool:
        """Whether another file should be begun to keep the link busy."""
        uploads = self.on_way.values()
        left = sum(upload.left for upload in uploads)
        return sum(upload.ahead for upload in uploads) < AHEAD and len(uploads) < ALIVE and left < IN_FLIGHT

    def next_chunk(self, session: Session) -> Chunk | None:
        """The next piece for a session to send."""
        if self._in_flight >= IN_FLIGHT:
            return None
        for upload in self.on_way.values():
            stripes = upload.stripes
            if stripes is None or not (upload.striped or upload.home is session) or not stripes.available():
                continue
            if (handle := upload.handles.get(session)) is not None:
                return self._chunk(upload, handle)
            if session not in upload.opening and upload.home.write_size == session.write_size:
                self._join(upload, session)
        return None

    def abandon(self) -> bool:
        """Give up what is on its way; whether there was anything."""
        uploads = list(self.on_way.values())
        self.on_way.clear()
        for upload in uploads:
            upload.close()
            self._remember(upload)
        return bool(uploads)

    def reset(self) -> None:
        """The sessions are gone, and what they had on its way."""
        self._in_flight = 0

    def _planned(self, arrived: int) -> None:
        if arrived:
            self.told.append(arrived)
        self._changed()

    def _chunk(self, upload: Upload, handle: bytes) -> Chunk | None:
        stripes = upload.stripes
        if stripes is None or (taken := stripes.take()) is None:
            return None
        number, offset, length = taken
        self._in_flight += length
        upload.reading += 1

        def sent() -> None:
            stripes.sent()
            if not upload.ended:  # of a put that was given up, the caller of the next one has nothing to hear
                self.told.append(length)
            upload.poke()
            self._changed()

        def answered(reply: wire.Reply) -> None:
            self._landed(length)
            if isinstance(reply, wire.Status) and reply.code == wire.OK:
                stripes.arrived(number)
                upload.poke()
            else:
                self._ended(upload, scripts.failed(reply, upload.part))
            self._changed()

        return Chunk(handle, offset, length, lambda: self._read(upload, offset, length), sent, answered)

    def _read(self, upload: Upload, offset: int, length: int) -> bytes | None:
        """Bytes of a local file (lock not held); None when they are not wanted any more, or cannot be had."""
        data, wrong = None, None
        try:
            if not upload.ended:
                data = upload.pread(offset, length)
        except OSError as error:
            wrong = error
        with self._lock:
            upload.reading -= 1
            if wrong is not None:
                self._ended(upload, wrong)
            if upload.ended:
                upload.close_source()
                self._landed(length)
                return None
        return data

    def _landed(self, length: int) -> None:
        self._in_flight = max(0, self._in_flight - length)  # after a reset, stragglers are not counted

    def _join(self, upload: Upload, session: Session) -> None:
        """Open a striped part on another session."""
        upload.opening.add(session)

        def opened(reply: wire.Reply) -> None:
            if not isinstance(reply, wire.Handle):
                self._ended(upload, scripts.failed(reply, upload.part))
            elif upload.ended or upload.stripes is None or upload.stripes.all_arrived:
                session.begin(wire.on_handle(wire.CLOSE, reply.value), _ignore)
            else:
                upload.handles[session] = reply.value
                session.wake()

        session.begin(wire.open_file(upload.part, wire.FOR_MORE), opened)

    def _ended(self, upload: Upload, error: TransferError | OSError | None) -> None:
        if upload.ended:
            return
        upload.close()
        del self.on_way[upload.path]
        for session, handle in upload.handles.items():
            session.begin(wire.on_handle(wire.CLOSE, handle), _ignore)
        if error is None:
            self._memories.pop(upload.path, None)
            if upload.skipped:
                self.told.append(upload.size)
            self.done.append(upload.put)
        else:
            self._remember(upload)
            self.error = self.error or error
        self._changed()

    def _remember(self, upload: Upload) -> None:
        self._memories.pop(upload.path, None)
        if (memory := upload.memory()) is not None:
            self._memories[upload.path] = memory
        while len(self._memories) > MEMORIES:
            del self._memories[next(iter(self._memories))]


def _ignore(reply: wire.Reply) -> None:
    """Nothing hangs on this answer."""
