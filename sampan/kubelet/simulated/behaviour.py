"""What one pod does, by its annotations ``simulated.sampan.io/<key>``.

``start-delay``, ``ready-delay``, ``run-for``, ``delete-delay``: durations such as ``1.5s`` (run-for: ``forever``).
``ready: "false"``: never ready. ``exit-code``: of containers that end. ``crashes``: how often containers end before
they run for ever; without it each time. ``log``: what `kubectl logs` shows. ``exec``: what `kubectl exec` answers.
``cpu``, ``memory``: usage, as quantities. What cannot be read counts as not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sampan.api import times
from sampan.api.object import annotations_of, controller_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.kubelet.simulated.options import SimulatedOptions

PREFIX = "simulated.sampan.io/"


class Behaviour(NamedTuple):
    """Durations in seconds. run_for: None for ever. crashes: None for no limit."""

    start_delay: float
    ready_delay: float
    run_for: float | None
    delete_delay: float
    ready: bool = True
    exit_code: int = 0
    crashes: int | None = None
    cpu: str = "1m"
    memory: str = "10Mi"


class Behaviours:
    """Behaviours of pods; those without annotations share theirs."""

    def __init__(self, options: SimulatedOptions) -> None:
        self._ordinary = Behaviour(options.start_delay, options.ready_delay, None, options.delete_delay)
        self._job = self._ordinary._replace(run_for=options.job_seconds)

    def of(self, pod: Object) -> Behaviour:
        """Read a pod's behaviour."""
        owner = controller_of(pod)
        base = self._job if owner is not None and owner.get("kind") == "Job" else self._ordinary
        found = {
            key.removeprefix(PREFIX): value for key, value in annotations_of(pod).items() if key.startswith(PREFIX)
        }
        return _changed(base, found) if found else base


def _changed(base: Behaviour, given: Mapping[str, str]) -> Behaviour:
    run_for = base.run_for
    if "run-for" in given:
        run_for = None if given["run-for"] == "forever" else _seconds(given["run-for"], base.run_for)
    crashes = _number(given.get("crashes", ""), -1)
    return Behaviour(
        start_delay=_seconds(given.get("start-delay", ""), base.start_delay) or 0.0,
        ready_delay=_seconds(given.get("ready-delay", ""), base.ready_delay) or 0.0,
        run_for=run_for,
        delete_delay=_seconds(given.get("delete-delay", ""), base.delete_delay) or 0.0,
        ready=given.get("ready", "true") != "false",
        exit_code=_number(given.get("exit-code", ""), 0),
        crashes=None if crashes < 0 else crashes,
        cpu=given.get("cpu", base.cpu),
        memory=given.get("memory", base.memory),
    )


def _seconds(text: str, default: float | None) -> float | None:
    try:
        return max(0.0, times.parse_duration(text) / 1e9)
    except times.DurationError:
        return default


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else default
