"""The event recorder: counting, combining, spam."""

import asyncio
from contextlib import asynccontextmanager

from sampan.api import errors
from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.resources import EVENTS
from sampan.runtime import EventBroadcaster
from sampan.testing.fake import FakeTransport

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "4"},
}


class Recording:
    def __init__(self):
        self.clock = FakeClock()
        self.api = FakeTransport(self.clock)
        self.broadcaster = EventBroadcaster(Client(self.api), clock=self.clock)
        self.recorder = self.broadcaster.recorder("kubelet", "node-1")

    async def settle(self):
        for _ in range(5000):
            await asyncio.sleep(0)
            if self.broadcaster.idle:
                return

    @property
    def events(self):
        return self.api.all(EVENTS)


@asynccontextmanager
async def recording():
    found = Recording()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.broadcaster.run())
        try:
            yield found
        finally:
            task.cancel()


async def test_event_has_the_shape_that_describe_shows():
    async with recording() as found:
        found.recorder.event(POD, "Normal", "Pulled", "Image pulled", field_path="spec.containers{c}")
        await found.settle()
        (event,) = found.events
        assert event["metadata"]["name"].startswith("p.")
        assert event["metadata"]["namespace"] == "ns"
        assert event["involvedObject"] == {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": "ns",
            "name": "p",
            "uid": "u",
            "resourceVersion": "4",
            "fieldPath": "spec.containers{c}",
        }
        assert event["source"] == {"component": "kubelet", "host": "node-1"}
        assert (event["reportingComponent"], event["reportingInstance"]) == ("kubelet", "node-1")
        assert (event["count"], event["firstTimestamp"]) == (1, event["lastTimestamp"])


async def test_equal_events_are_counted():
    async with recording() as found:
        for _ in range(3):
            found.recorder.event(POD, "Warning", "BackOff", "again")
            await found.clock.advance(10)
        await found.settle()
        (event,) = found.events
        assert event["count"] == 3
        assert event["firstTimestamp"] == "2023-11-14T22:13:20Z"
        assert event["lastTimestamp"] == "2023-11-14T22:13:40Z"


async def test_similar_events_are_combined():
    async with recording() as found:
        for number in range(15):
            found.recorder.event(POD, "Normal", "Created", f"number {number}")
        await found.settle()
        messages = [event["message"] for event in found.events]
        assert len(messages) == 10
        combined = [event for event in found.events if event["message"].startswith("(combined from similar events): ")]
        assert [event["count"] for event in combined] == [6]
        assert combined[0]["message"].endswith("number 14")


async def test_a_noisy_object_is_cut_off_and_others_are_heard():
    async with recording() as found:
        for number in range(60):
            found.recorder.event(POD, "Normal", f"Reason{number}", "x")
        found.recorder.event({**POD, "metadata": {**POD["metadata"], "name": "q"}}, "Normal", "Fine", "x")
        await found.settle()
        assert len(found.events) == 26


async def test_forgotten_event_is_made_again_with_its_count():
    async with recording() as found:
        found.recorder.event(POD, "Normal", "Again", "x")
        await found.settle()
        found.api.remove(EVENTS, "ns", found.events[0]["metadata"]["name"])
        await found.clock.advance(4000)
        found.recorder.event(POD, "Normal", "Again", "x")
        await found.settle()
        assert [event["count"] for event in found.events] == [2]


async def test_refused_event_is_dropped_and_unavailable_api_retried():
    async with recording() as found:
        answers = [errors.Forbidden("no"), errors.ServiceUnavailable("later")]

        def react(request):
            if answers:
                raise answers.pop(0)

        found.api.react = react
        found.recorder.event(POD, "Normal", "Refused", "x")
        found.recorder.event(POD, "Normal", "Kept", "x")
        await found.clock.advance(11)
        await found.settle()
        assert [event["reason"] for event in found.events] == ["Kept"]


async def test_cluster_scoped_objects_have_their_events_in_default():
    async with recording() as found:
        found.recorder.event({"kind": "Node", "apiVersion": "v1", "name": "n", "uid": "n"}, "Normal", "Ready", "x")
        await found.settle()
        assert found.events[0]["metadata"]["namespace"] == "default"
