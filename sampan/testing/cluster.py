"""`Cluster`: a whole control plane in the test's own process. No root, no containers, no files unless asked for.

    async with Cluster() as cluster:
        pods = cluster.client.resource(PODS, "default")
        ...

The store is in memory and ends with the block. `client` enters the API server without HTTP, with all of authorization,
admission and validation; `kubeconfig` and `url` serve clients of any kind over TLS. With a `FakeClock`, time moves only
when the test moves it.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.local import LocalTransport
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base import tasks
from sampan.base.clock import RealClock
from sampan.client import kubeconfig
from sampan.client.client import Client
from sampan.controllers.context import ControllerContext, ControllerOptions
from sampan.controllers.registry import build
from sampan.runtime.events import EventBroadcaster
from sampan.runtime.manager import Manager
from sampan.scheduler.options import SchedulerOptions
from sampan.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.config import ClientConfig

_START_SECONDS = 30.0


class Cluster:
    """A control plane as an async context manager.

    controllers: names as in `sampan.controllers`, ``*`` for all, () for none. scheduler: whether pods get nodes.
    clock: of all parts. tokens: static tokens, each ``token,user,uid,"group1,group2"``.
    """

    def __init__(
        self,
        *,
        controllers: Sequence[str] = ("*",),
        scheduler: bool = True,
        clock: Clock | None = None,
        tokens: Sequence[str] = (),
    ) -> None:
        self._controllers = tuple(controllers)
        self._scheduler = scheduler
        self._tokens = tuple(tokens)
        self._clock = clock or RealClock()
        self._stack = AsyncExitStack()
        self._running: asyncio.Task[None] | None = None
        self.api: APIServer
        self.client: Client
        """The administrator's client, in process."""
        self._folder: Path

    async def __aenter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sampan-cluster-")))
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def started(value: Any = None) -> None:
            if not ready.done():
                ready.set_result(value)

        self._running = tasks.spawn(group, self._run(started), name="cluster")
        await asyncio.wait({ready, self._running}, return_when=asyncio.FIRST_COMPLETED, timeout=_START_SECONDS)
        if not ready.done():
            ready.cancel()
            if self._running.done():
                self._running.result()
            raise TimeoutError(f"the cluster did not start within {_START_SECONDS:g} s")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def _run(self, started: Started) -> None:
        self.api = APIServer(self._options(), self._clock)
        async with asyncio.TaskGroup() as servers:
            await tasks.start(servers, self.api.run, name="apiserver")
            self.client = self.client_of("kubernetes-admin", groups=(MASTERS,))
            async with asyncio.TaskGroup() as components:
                if self._controllers:
                    await tasks.start(components, self._run_controllers, name="controllers")
                if self._scheduler:
                    await tasks.start(components, self._run_scheduler, name="scheduler")
                started()
                await asyncio.Event().wait()

    def _options(self) -> ServerOptions:
        if not self._tokens:
            return ServerOptions()
        file = self._folder / "tokens.csv"
        file.touch(mode=0o600)
        file.write_text("".join(f"{token}\n" for token in self._tokens))
        return ServerOptions(token_auth_file=file)

    async def _run_controllers(self, started: Started) -> None:
        options = ControllerOptions(
            controllers=self._controllers, root_ca=self.api.ca, signer=self.api.credentials.ca,
            load_balancer_cidr="172.30.0.0/24",
        )  # fmt: skip
        client = self.client_of("system:kube-controller-manager", groups=(MASTERS,))
        context = ControllerContext(client, clock=self._clock, options=options)
        await Manager(context.informers, build(context), events=context.events).run(started)

    async def _run_scheduler(self, started: Started) -> None:
        client = self.client_of("system:kube-scheduler", groups=(MASTERS,))
        events = EventBroadcaster(client, clock=self._clock)
        options = SchedulerOptions()
        async with asyncio.TaskGroup() as group:
            tasks.serve(group, events.run(), name="scheduler events")
            scheduler = Scheduler(options, client, events.recorder(options.scheduler_name), self._clock)
            await tasks.start(group, scheduler.run, name="scheduler")
            started()

    @property
    def url(self) -> str:
        """Where the API listens: ``https://127.0.0.1:<port>``."""
        return self.api.url

    @property
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig file; it ends with the cluster."""
        path = self._folder / "kubeconfig"
        if not path.exists():
            pair = self.api.credentials.administrator()
            config = kubeconfig.build(
                name="sampan", server=self.url, ca=self.api.ca, certificate=pair.certificate, key=pair.key
            )
            kubeconfig.write(path, config)
        return path

    @property
    def config(self) -> ClientConfig:
        """The administrator's connection, for clients over HTTPS."""
        return kubeconfig.load(self.kubeconfig).resolve()

    def client_of(self, user: str, *, groups: Sequence[str] = ()) -> Client:
        """A client in process that acts as any user."""
        return Client(LocalTransport(self.api, User(user, groups=groups).authenticated()))
