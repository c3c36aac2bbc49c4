"""Images for containers: pull policies, back-off, credentials, the events of pulling.

Source: kubelet's images/image_manager.go; texts of events and waiting messages are its.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.api.object import namespace_of, uid_of
from sampan.base.errors import SampanError
from sampan.base.log import logger
from sampan.kubelet import credentials
from sampan.kubelet.backoff import Backoff
from sampan.kubelet.events import container_reference
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.environment import ObjectSource
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.runtime import ContainerRuntime, Image, RegistryAuth

_log = logger("kubelet.images")

_SHOW_FAILURE_SECONDS = 1.0
"""ErrImagePull is shown this long before the wait turns into ImagePullBackOff: kubelet's next look (a relist's event)
comes about as soon. The next pull comes when the back-off is over, not then.
"""


class StartError(SampanError):
    """A container cannot be started now.

    reason: of the waiting state ("ErrImagePull"). retry_after: seconds, when nothing but time helps.
    """

    def __init__(self, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class ImageManager:
    """Makes sure that a container's image is on the node."""

    def __init__(self, runtime: ContainerRuntime, objects: ObjectSource, recorder: Recorder, clock: Clock) -> None:
        self._runtime = runtime
        self._objects = objects
        self._recorder = recorder
        self._clock = clock
        self._backoff = Backoff()
        self._failures: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.last_used: dict[str, float] = {}

    async def ensure(self, pod: Object, container: Object) -> Image:
        """Return the container's image, pulled if its policy says so. Raises StartError."""
        reference = container_reference(pod, container["name"])
        try:
            name = credentials.with_default_tag(container["image"])
        except ValueError as error:
            message = f'Failed to apply default image tag "{container["image"]}": {error}'
            self._recorder.event(reference, "Warning", "InspectFailed", message)
            raise StartError("InvalidImageName", message) from error
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        image = await self._find(reference, name)
        if image is not None and policy != "Always":
            text = f'Container image "{container["image"]}" already present on machine and can be accessed by the pod'
            self._recorder.event(reference, "Normal", "Pulled", text)
        elif policy == "Never":
            message = f'Container image "{container["image"]}" is not present with pull policy of Never'
            self._recorder.event(reference, "Warning", "ErrImageNeverPull", message)
            raise StartError("ErrImageNeverPull", message)
        else:
            image = await self._pull(pod, container, name, reference)
        self.last_used[image.id] = self._clock.time()
        return image

    async def _find(self, reference: Object, name: str) -> Image | None:
        try:
            return await self._runtime.image_status(name)
        except RuntimeFault as error:
            message = f'Failed to inspect image "{name}": {error}'
            self._recorder.event(reference, "Warning", "InspectFailed", message)
            raise StartError("ImageInspectError", message) from error

    async def _pull(self, pod: Object, container: Object, name: str, reference: Object) -> Image:
        wanted = container["image"]
        key = f"{uid_of(pod)}_{wanted}"
        remaining = self._backoff.remaining_since_update(key, now=self._clock.time())
        if remaining > 0:
            message = f'Back-off pulling image "{wanted}"'
            self._recorder.event(reference, "Normal", "BackOff", message)
            if key in self._failures:
                message += f": ErrImagePull: {self._failures[key]}"
            raise StartError("ImagePullBackOff", message, retry_after=remaining)
        self._recorder.event(reference, "Normal", "Pulling", f'Pulling image "{wanted}"')
        begin = self._clock.monotonic()
        try:
            async with self._locks.setdefault(name, asyncio.Lock()):
                locked = self._clock.monotonic()
                image = await self._pull_with_credentials(pod, name)
        except RuntimeFault as error:
            self._recorder.event(reference, "Warning", "Failed", f'Failed to pull image "{wanted}": {error}')
            now = self._clock.time()
            self._backoff.next(key, at=now, now=now)
            self._failures[key] = str(error)
            raise StartError("ErrImagePull", str(error), retry_after=_SHOW_FAILURE_SECONDS) from error
        end = self._clock.monotonic()
        self._failures.pop(key, None)
        text = (
            f'Successfully pulled image "{wanted}" in {_duration(end - locked)} ({_duration(end - begin)} including '
            f"waiting). Image size: {image.size} bytes."
        )
        self._recorder.event(reference, "Normal", "Pulled", text)
        return image

    async def _pull_with_credentials(self, pod: Object, name: str) -> Image:
        """Try each credential that fits, then none. Raises the last RuntimeFault."""
        attempts: list[RegistryAuth | None] = [*credentials.matching(name, await self._secrets(pod))]
        failure: RuntimeFault | None = None
        for auth in attempts or [None]:
            try:
                pulled = await self._runtime.pull_image(name, auth)
                image = await self._runtime.image_status(pulled) or await self._runtime.image_status(name)
            except RuntimeFault as error:
                failure = error
                continue
            if image is not None:
                return image
            failure = RuntimeFault(f"image {name} vanished after it was pulled", code="NotFound")
        assert failure is not None
        raise failure

    async def _secrets(self, pod: Object) -> list[Object]:
        found = []
        for entry in pod["spec"].get("imagePullSecrets") or ():
            try:
                found.append(await self._objects.secret(namespace_of(pod), entry.get("name", "")))
            except (APIStatusError, OSError, TimeoutError) as error:
                # The image may be public after all; the pull's own failure tells the rest.
                _log.warning("Unable to retrieve pull secret", pod=uid_of(pod), secret=entry.get("name"), error=error)
        return found


def _duration(seconds: float) -> str:
    """Write a duration as Go does, to the millisecond."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{text}" if minutes else text
