"""Numbers for Prometheus at ``/metrics``: what was made, how long it took, what is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engines.studio import Studio
from storage import JobRow, JobState
from tabs.http.rows import clips_of, loaded_ids

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class Metrics:
    """Counts since the start of the process, and gauges read from the studio when asked."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._registry = CollectorRegistry()
        self._jobs = Counter(
            "studio_jobs", "Jobs that ended.", ["engine", "kind", "state"], registry=self._registry
        )
        self._durations = Histogram(
            "studio_job_duration_seconds",
            "Time from the start of a job to its end.",
            ["engine"],
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._audio = Counter(
            "studio_audio_seconds", "Sound made.", ["engine"], registry=self._registry
        )
        self.limited = Counter(
            "studio_http_429", "Requests refused by the rate limit.", registry=self._registry
        )
        self._registry.register(Gauges(studio))
        studio.runner.listeners.append(self.job_ended)

    def job_ended(self, job: JobRow) -> None:
        """Count a job; the runner calls this for each that ended."""
        self._jobs.labels(job.engine, job.kind, str(job.state)).inc()
        if job.started_at and job.finished_at:
            seconds = _seconds(job.finished_at) - _seconds(job.started_at)
            self._durations.labels(job.engine).observe(max(seconds, 0.0))
        for clip in clips_of(self._studio, job):
            self._audio.labels(job.engine).inc(clip.duration_s)

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self._registry)


class Gauges(Collector):
    """What is true now: the queue, the engines in memory, memory itself."""

    def __init__(self, studio: Studio):
        self._studio = studio

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges."""
        queue = GaugeMetricFamily("studio_queue_jobs", "Jobs that wait or run.", labels=["state"])
        counts = self._studio.jobs.counts()
        for state in (JobState.QUEUED, JobState.RUNNING):
            queue.add_metric([str(state)], counts[state])
        yield queue
        loaded = GaugeMetricFamily(
            "studio_engine_loaded", "1 for engines in memory.", labels=["engine"]
        )
        in_memory = loaded_ids(self._studio)
        for engine in self._studio.engines():
            loaded.add_metric([engine.card.id], float(engine.card.id in in_memory))
        yield loaded
        memory = self._studio.memory()
        for name, help, value in (
            ("total", "Memory of the device.", memory.total),
            ("used", "Memory of the device in use by anyone.", memory.used),
            ("budget", "Memory that engines may take.", memory.budget),
            ("reserved", "Memory that the loaded engines were said to need.", memory.reserved),
            ("process", "Memory of this process.", memory.process),
        ):
            yield GaugeMetricFamily(f"studio_memory_{name}_bytes", help, value=value)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
