"""Downloads weights from the Hugging Face hub into the data folder and finds them there again."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from engines.base import Adapter, NotReady, StudioError, Weights

OWN = "own"
Progress = Callable[[float, float, str], None]


class Hub:
    """The local cache of weights under ``root`` and the way to fill it.

    A set of weights counts as cached only when all its files are there at one commit. The commit
    that was downloaded first stays in use until the weights are removed, so results do not change
    behind a person's back.
    """

    def __init__(
        self,
        root: Path,
        timeout_s: float = 8.0,
        adapters: Callable[[], Sequence[Adapter]] = tuple,
    ):
        self.root = root
        self.timeout_s = timeout_s
        self.adapters = adapters  # the register of adapters is the store's

    def path(self, weights: Weights) -> Path | None:
        """The local folder that holds every file of ``weights`` (not of their parts), or None."""
        if not weights.repo:
            folder = self.root / OWN / weights.id
            return folder if folder.is_dir() and self._complete(folder, weights) else None
        revision = self.revision(weights)
        if not revision:
            return None
        folder = self._folder(weights) / "snapshots" / revision
        return folder if self._complete(folder, weights) else None

    def revision(self, weights: Weights) -> str:
        """The commit of the cached files, or ""."""
        if not weights.repo:
            return ""
        folder = self._folder(weights)
        ref = folder / "refs" / weights.revision
        if ref.is_file():
            return ref.read_text(encoding="utf-8").strip()
        snapshot = folder / "snapshots" / weights.revision
        return weights.revision if snapshot.is_dir() else ""

    def own(self) -> dict[str, Path]:
        """Folders that a person put into ``own``, by name; no other place is read."""
        return {
            folder.name: folder for folder in sorted((self.root / OWN).glob("*")) if folder.is_dir()
        }

    def download(self, weights: Weights, progress: Progress, check: Callable[[], None]) -> Path:
        """Fetch ``weights`` with their parts; resumes what an earlier try left.

        ``progress(done_bytes, total_bytes, note)`` and ``check`` are called as data arrives.
        Raises ``StudioError`` when the hub does not answer within ``timeout_s`` seconds, the
        repository is private or gone, or the disk is full.
        """
        wanted = [each for each in weights.whole if not each.embedded]
        if unpublished := [each for each in wanted if not each.repo and self.path(each) is None]:
            raise NotReady(f"{unpublished[0].title} has no published weights to download.")
        wanted = [each for each in wanted if each.repo]
        import httpx

        self._reachable(weights)
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError

        here = weights  # the part that an error is about
        try:
            listed = []
            for here in wanted:
                listed.append((here, self._listed(here)))
            total = sum(sum(files.values()) for _, files in listed)
            self._fits(weights, total)
            reporter = _reporter(weights.title, total, progress, check)
            for here, files in listed:
                for name in files:
                    hf_hub_download(
                        here.repo,
                        name,
                        revision=self._wanted_revision(here),
                        cache_dir=self.root,
                        etag_timeout=self.timeout_s,
                        endpoint=endpoint(),
                        tqdm_class=reporter,
                    )
        except HfHubHTTPError as error:
            raise StudioError(
                f"The hub refused {here.repo}: {error}. If the repository asks for consent, "
                "accept its terms on its page and set HF_TOKEN."
            ) from error
        except (OSError, httpx.HTTPError) as error:
            raise self._disk_or_network(weights, error) from error
        for each in wanted:
            if self.path(each) is None:
                raise StudioError(
                    f"{each.repo} at {self._wanted_revision(each)} lacks some of "
                    f"{', '.join(each.files)}."
                )
        folder = self.path(weights)
        assert folder is not None  # it is one of ``wanted``
        return folder

    def _wanted_revision(self, weights: Weights) -> str:
        return self.revision(weights) or weights.revision

    def _listed(self, weights: Weights) -> dict[str, int]:
        """The files of ``weights`` on the hub, with their sizes in bytes."""
        from huggingface_hub import HfApi

        info = HfApi(endpoint=endpoint()).model_info(
            weights.repo,
            revision=self._wanted_revision(weights),
            files_metadata=True,
            timeout=self.timeout_s,
        )
        return {
            item.rfilename: item.size or 0
            for item in info.siblings or []
            if any(
                fnmatch(item.rfilename, pattern) for pattern in (*weights.files, *weights.optional)
            )
        }

    def remove(self, weights: Weights) -> int:
        """Delete the cached files of ``weights``; returns the bytes freed.

        Files that other weights of the same repository use stay.
        """
        folder = self.path(weights)
        if folder is None:
            return 0
        freed = 0
        for pattern in (*weights.files, *weights.optional):
            for link in [*folder.glob(pattern)]:
                blob = link.resolve()
                freed += blob.stat().st_size
                blob.unlink(missing_ok=True)
                link.unlink(missing_ok=True)
        if not any(item.is_file() for item in folder.rglob("*")):
            shutil.rmtree(self._folder(weights))
        return freed

    def size(self, weights: Weights) -> int:
        """Bytes that cached ``weights`` take on disk, 0 when not cached."""
        folder = self.path(weights)
        if folder is None:
            return 0
        return sum(
            item.stat().st_size
            for pattern in (*weights.files, *weights.optional)
            for item in folder.glob(pattern)
        )

    def free_bytes(self) -> int:
        """Free bytes on the disk that holds the cache."""
        return shutil.disk_usage(self.root).free

    def cached(self) -> list[str]:
        """Repositories with something in the cache."""
        return sorted(
            folder.name.removeprefix("models--").replace("--", "/")
            for folder in self.root.glob("models--*")
        )

    def _folder(self, weights: Weights) -> Path:
        return self.root / f"models--{weights.repo.replace('/', '--')}"

    @staticmethod
    def _complete(folder: Path, weights: Weights) -> bool:
        return all(any(item.exists() for item in folder.glob(pattern)) for pattern in weights.files)

    def _reachable(self, weights: Weights) -> None:
        """Ask the hub for a sign of life, since its own client retries for minutes."""
        import httpx

        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise self._unreachable(weights, "HF_HUB_OFFLINE is set")
        try:
            httpx.head(endpoint(), timeout=self.timeout_s)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise self._unreachable(weights, f"{endpoint()}: {reason}") from error

    def _unreachable(self, weights: Weights, reason: str) -> StudioError:
        cached = ", ".join(self.cached()) or "nothing yet"
        return NotReady(
            f"The model hub can't be reached ({reason}), so {weights.title} can't be downloaded "
            f"now. Cached here: {cached}. Embedded voices work without the hub."
        )

    def _fits(self, weights: Weights, total: int) -> None:
        if total > self.free_bytes():
            raise StudioError(
                f"{weights.title} needs {total / 1e6:,.0f} MB and the disk has "
                f"{self.free_bytes() / 1e6:,.0f} MB free. Remove other weights in Models first."
            )

    def _disk_or_network(self, weights: Weights, error: Exception) -> StudioError:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return StudioError(
                f"The disk is full: {self.free_bytes() / 1e6:,.0f} MB free at {self.root}. "
                "What was downloaded is kept; free some space and press Download again."
            )
        return self._unreachable(weights, str(error))


def endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT`` for a mirror, else the public one."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _reporter(title: str, total: int, progress: Progress, check: Callable[[], None]) -> type:
    """A tqdm class that reports bytes to ``progress`` and lets ``check`` stop the download."""
    from tqdm.auto import tqdm

    lock = threading.Lock()
    done = 0.0

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any):
            self.counts_bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            check()
            if self.counts_bytes and n:
                with lock:
                    done += n
                    progress(min(done, total), total, title)
            return super().update(n)

    return Reporter
