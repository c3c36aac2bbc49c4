"""The scheduling framework: stages are Protocols, a plugin implements those that it needs.

One cycle places one pod. It runs in one turn of the event loop, so that everything it reads is one snapshot:
`PreFilter`, `Filter` over all nodes, `PostFilter` when no node is left, `PreScore`, `Score`, `Reserve`, `Permit`.
Binding (`PreBind`, `Bind`, `PostBind`) is asynchronous. Outcomes are data (`Status`), errors are for the unexpected.
Kubernetes' kube-scheduler framework is the model (KEP-624).

A filter or score plugin states its rule for one node, and computes it for all nodes at once over the arrays of
`NodeTable`; tests hold the one against the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from sampan.api.object import Object
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo

    Mask = npt.NDArray[np.bool_]
    Integers = npt.NDArray[np.int64]

MAX_NODE_SCORE = 100


class Code(Enum):
    """What became of a stage, and what the queue then does.

    UNSCHEDULABLE: the pod waits for an event that may help; evicting pods may help too. UNRESOLVABLE: the same, but
    evicting pods cannot help. PENDING: it waits for something outside (a gate). ERROR: it is tried again after a
    back-off. SKIP: the plugin has nothing to say about this pod in the paired later stage.
    """

    SUCCESS = auto()
    ERROR = auto()
    UNSCHEDULABLE = auto()
    UNRESOLVABLE = auto()
    PENDING = auto()
    SKIP = auto()


@dataclass(frozen=True, slots=True)
class Status:
    """A stage's outcome. reasons: for people, in Kubernetes' words. plugin: who said so."""

    code: Code
    reasons: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def is_success(self) -> bool:
        return self.code is Code.SUCCESS

    @property
    def message(self) -> str:
        return ", ".join(self.reasons)


SUCCESS = Status(Code.SUCCESS)
SKIP = Status(Code.SKIP)


class EventKind(Enum):
    """What happened in the cluster that may make a waiting pod schedulable."""

    NODE_ADD = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABEL = auto()
    NODE_TAINT = auto()
    ASSIGNED_POD_ADD = auto()
    ASSIGNED_POD_UPDATE = auto()
    ASSIGNED_POD_DELETE = auto()
    POD_UPDATE = auto()
    VOLUME_CHANGE = auto()
    """A claim, volume or storage class came or changed."""


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """One event. node: the node added or changed. pod: the assigned pod that came, changed or went."""

    kind: EventKind
    node: NodeInfo | None = None
    pod: PodInfo | None = None


class CycleState(dict[str, Any]):
    """What plugins hand from one stage to a later one of the same cycle; keyed by plugin name.

    only_nodes: names of the only nodes worth a filter, by the PreFilter plugin that says so.
    """

    __slots__ = ("only_nodes",)

    def __init__(self) -> None:
        super().__init__()
        self.only_nodes: dict[str, frozenset[str]] = {}


@dataclass(slots=True)
class FilterOutcome:
    """Which nodes are feasible, and why the others are not. rejected: plugin name to the rows it turned down."""

    feasible: Mask
    rejected: dict[str, Mask] = field(default_factory=dict)


class Plugin(Protocol):
    """Every plugin has a name, as in Kubernetes' configuration."""

    @property
    def name(self) -> str: ...


@runtime_checkable
class EnqueueExtensions(Plugin, Protocol):
    """Tells which events may make a pod schedulable that this plugin turned down."""

    @property
    def events(self) -> Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None]:
        """Event kinds, each with a hint: False when this event cannot help this pod. None: it always may."""
        ...


@runtime_checkable
class QueueSortPlugin(Plugin, Protocol):
    """Orders the active queue."""

    def sort_key(self, pod: PodInfo, added: float) -> tuple[float, ...]:
        """Return what pods are ordered by, the smallest first. added: when the pod was queued, epoch seconds."""
        ...


@runtime_checkable
class PreEnqueuePlugin(Plugin, Protocol):
    """Decides whether a pod may enter the active queue at all."""

    def pre_enqueue(self, pod: PodInfo) -> Status: ...


@runtime_checkable
class PreFilterPlugin(Plugin, Protocol):
    """Prepares a cycle; SKIP leaves the plugin's filter out, a failure ends the cycle for all nodes."""

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status: ...


@runtime_checkable
class FilterPlugin(Plugin, Protocol):
    """Tells whether a pod fits nodes. Synchronous and free of I/O: one cycle sees one snapshot."""

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        """The rule, for one node; says why not."""
        ...

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        """The rule over all rows of the table at once; rows without a node may have any value."""
        ...


@runtime_checkable
class PostFilterPlugin(Plugin, Protocol):
    """Called when no node is feasible."""

    def post_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable, failed: FilterOutcome) -> PostFilterResult:
        """Make room, or say why that cannot be done."""
        ...


@dataclass(frozen=True, slots=True)
class PostFilterResult:
    """nominated_node: where room is made, "" to withdraw a nomination, None to leave it. victims: to be evicted."""

    status: Status
    nominated_node: str | None = None
    victims: tuple[Object, ...] = ()


@runtime_checkable
class PreScorePlugin(Plugin, Protocol):
    """Prepares scoring; SKIP leaves the plugin's score out."""

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Status: ...


@runtime_checkable
class ScorePlugin(Plugin, Protocol):
    """Ranks feasible nodes."""

    def score_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable, rows: Integers) -> Integers:
        """Score each of these rows, normalized: from 0 to `MAX_NODE_SCORE`, higher is better."""
        ...


@runtime_checkable
class ReservePlugin(Plugin, Protocol):
    """Keeps account of a placement before it is bound. unreserve is idempotent and may come without reserve."""

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status: ...

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None: ...


@runtime_checkable
class PermitPlugin(Plugin, Protocol):
    """Has the last word before binding."""

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Status: ...


@runtime_checkable
class PreBindPlugin(Plugin, Protocol):
    """Does what must be done before a pod is bound; may do I/O."""

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status: ...


@runtime_checkable
class BindPlugin(Plugin, Protocol):
    """Binds; SKIP leaves it to the next one."""

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status: ...


@runtime_checkable
class PostBindPlugin(Plugin, Protocol):
    """Hears of a bound pod."""

    def post_bind(self, state: CycleState, pod: PodInfo, node: str) -> None: ...
