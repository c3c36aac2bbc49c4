"""A real API server in the test's own process."""

import pytest

from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.local import LocalTransport
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base.clock import RealClock
from sampan.client.client import Client


@pytest.fixture
async def server():
    async with APIServer(ServerOptions(), RealClock()) as running:
        yield running


@pytest.fixture
def admin(server):
    return Client(LocalTransport(server, User("admin", groups=(MASTERS,)).authenticated(), user_agent="test"))


@pytest.fixture
def transport(server):
    return LocalTransport(server, User("admin", groups=(MASTERS,)).authenticated(), user_agent="test")
