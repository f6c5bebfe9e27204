"""One process per data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from storage.base.errors import StorageError, translated
from storage.base.ids import utc_now

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK = "studio.lock"
OWNER = "studio.owner.json"


def lock_folder(data_dir: Path) -> BaseFileLock:
    """Take the folder for this process until the lock is released or the process ends.

    Raises ``StorageError`` naming the process that has it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(data_dir / LOCK, timeout=0)
    with translated(data_dir):
        try:
            lock.acquire()
        except Timeout:
            raise StorageError(
                f"{data_dir} is in use by {_owner(data_dir)}; stop it or choose another folder "
                "with --data."
            ) from None
        owner = {"pid": os.getpid(), "started": utc_now()}
        try:
            (data_dir / OWNER).write_text(json.dumps(owner), encoding="utf-8")
        except BaseException:
            lock.release()
            raise
    return lock


def _owner(data_dir: Path) -> str:
    try:
        owner = json.loads((data_dir / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['pid']} (started {owner['started']})"
    except (OSError, ValueError, KeyError):
        return "another process"  # it has only just started and not yet written its name
