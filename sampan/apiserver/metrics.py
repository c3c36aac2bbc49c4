"""Counters of the request path, under kube-apiserver's names; cheap to count, rendered when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

BUCKETS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip


class RequestMetric:
    """Requests of one verb on one resource: how many by code, how long they took."""

    __slots__ = ("buckets", "codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def observe(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        codes = self.codes
        codes[code] = codes.get(code, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


class Metrics:
    """All of a server's metrics. gauges: name -> (help, labels' names, values by labels)."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, ...], RequestMetric] = {}
        self._gauges: list[Callable[[], Iterator[Metric]]] = []
        self.loop_lag = 0.0

    def request(  # noqa: PLR0917 - the labels, in order
        self, verb: str, group: str, version: str, resource: str, subresource: str, scope: str
    ) -> RequestMetric:
        """The metric of a kind of request."""
        key = (verb.upper(), group, version, resource, subresource, scope)
        found = self._requests.get(key)
        if found is None:
            found = self._requests[key] = RequestMetric()
        return found

    def add_source(self, source: Callable[[], Iterator[Metric]]) -> None:
        """Add what yields metrics at the moment of a scrape."""
        self._gauges.append(source)

    def render(self) -> bytes:
        """The exposition text."""
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - only for scrapes
        from prometheus_client.platform_collector import PlatformCollector  # noqa: PLC0415
        from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Yield everything; prometheus-client's collector interface."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily  # noqa: PLC0415

        names = ["verb", "group", "version", "resource", "subresource", "scope"]
        total = CounterMetricFamily(
            "apiserver_request_total",
            "Counter of apiserver requests by verb, resource and code.",
            labels=[*names, "code"],
        )
        duration = HistogramMetricFamily(
            "apiserver_request_duration_seconds", "Response latency in seconds by verb and resource.", labels=names
        )
        for key, metric in self._requests.items():
            for code, count in metric.codes.items():
                total.add_metric([*key, str(code)], count)
            cumulative, buckets = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), metric.buckets, strict=True):
                cumulative += count
                buckets.append((bound, cumulative))
            duration.add_metric(list(key), buckets, metric.seconds)
        yield total
        yield duration
        lag = GaugeMetricFamily("sampan_event_loop_lag_seconds", "How late the event loop ran its last timer.")
        lag.add_metric([], self.loop_lag)
        yield lag
        for source in self._gauges:
            yield from source()
