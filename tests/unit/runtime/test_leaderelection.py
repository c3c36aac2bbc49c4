"""Leader election: one leader at a time, whatever happens to it."""

import asyncio

import pytest

from sampan.api import errors
from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.resources import LEASES
from sampan.runtime import ElectionOptions, LeaderElector
from sampan.runtime.leaderelection import LostLeadershipError
from sampan.testing.fake import FakeTransport


class Candidate:
    def __init__(self, api, clock, name):
        self.elector = LeaderElector(Client(api), ElectionOptions(name="test", identity=name), clock=clock)
        self.leading = False

    async def lead(self):
        self.leading = True
        try:
            await asyncio.Event().wait()
        finally:
            self.leading = False


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def api(clock):
    return FakeTransport(clock)


async def settle():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_second_waits_until_the_first_stops(api, clock):
    first, second = Candidate(api, clock, "a"), Candidate(api, clock, "b")
    async with asyncio.TaskGroup() as group:
        one = group.create_task(first.elector.run(first.lead))
        await settle()
        two = group.create_task(second.elector.run(second.lead))
        await clock.advance(60)
        assert (first.leading, second.leading) == (True, False)
        one.cancel()
        await settle()
        await clock.advance(4)
        assert (first.leading, second.leading) == (False, True)
        spec = api.get(LEASES, "kube-system", "test")["spec"]
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)
        two.cancel()


async def test_dead_leaders_lease_is_taken_after_its_duration(api, clock):
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "test", "namespace": "kube-system"},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2000-01-01T00:00:00.000000Z"},
    }
    api.add(LEASES, lease)
    candidate = Candidate(api, clock, "a")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(candidate.elector.run(candidate.lead))
        await clock.advance(14)
        assert not candidate.leading
        await clock.advance(4)
        assert candidate.leading
        task.cancel()


async def test_leader_that_cannot_renew_stops_leading(api, clock):
    candidate = Candidate(api, clock, "a")

    async def run():
        with pytest.raises(LostLeadershipError):
            await candidate.elector.run(candidate.lead)

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        await settle()
        assert candidate.leading

        def fail(request):
            raise errors.ServiceUnavailable("down")

        api.react = fail
        await clock.advance(11)
        assert candidate.leading
        await clock.advance(3)
        assert not candidate.leading
