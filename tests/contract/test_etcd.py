"""What is particular to the etcd backend: addresses, failover, expiry by leases, agreement on compactions."""

from __future__ import annotations

import pytest

from sampan.apiserver.storage.interface import CompactedError, StoreUnavailableError
from sampan.base.clock import FakeClock
from tests.contract.conftest import etcd_backend, etcd_member, free_port

pytest.importorskip("aetcd")

from sampan.apiserver.storage.etcd import EtcdBackend
from sampan.apiserver.storage.etcdclient import EtcdOptions

A = "/registry/core/pods/ns/a"


@pytest.fixture
async def member(tmp_path):
    with etcd_member(tmp_path / "etcd") as address:
        await (await etcd_backend(address, FakeClock())).close()
        yield address


def test_an_address_names_hosts_user_and_files():
    files = {"ca.pem": b"CA", "pw": b"secret\n"}
    options = EtcdOptions.parse("etcd://root@a:1,b?ca=ca.pem&password-file=pw", files.__getitem__)
    assert options == EtcdOptions(endpoints=("a:1", "b:2379"), ca=b"CA", username="root", password="secret")


@pytest.mark.parametrize("url", ["http://a", "etcd://", "sqlite"])
def test_another_address_is_refused(url):
    with pytest.raises(ValueError, match="is no etcd://"):
        EtcdOptions.parse(url, {}.__getitem__)


async def test_a_member_that_is_down_is_passed_over(member):
    dead = f"127.0.0.1:{free_port()}"
    backend = EtcdBackend(EtcdOptions(endpoints=(dead, member)), FakeClock())
    await backend.start()
    revision = await backend.create(A, b"1")
    assert (await backend.get(A)).revision == revision
    await backend.close()


async def test_no_member_at_all_is_reported_with_the_addresses():
    dead = f"127.0.0.1:{free_port()}"
    backend = EtcdBackend(EtcdOptions(endpoints=(dead,)), FakeClock())
    with pytest.raises(StoreUnavailableError, match=f"etcd at {dead} does not answer .* majority of its members"):
        await backend.start()
    await backend.close()


async def test_keys_with_one_time_to_live_share_a_lease(member):
    clock = FakeClock()
    backend = await etcd_backend(member, clock)
    for n in range(3):
        await backend.create(f"{A}{n}", b"1", ttl=3600)
    first = backend._leases[3600][0]
    await clock.advance(61)
    await backend.create(f"{A}9", b"1", ttl=3600)
    assert backend._leases[3600][0] != first
    await backend.close()


async def test_servers_compact_in_turn(member):
    one, other = await etcd_backend(member, FakeClock()), await etcd_backend(member, FakeClock())
    first = await one.create(A, b"1")
    states = [await one._compact_in_turn(0, 0), await other._compact_in_turn(0, 0)]
    await one.update(A, b"2", expected=first)
    states = [await one._compact_in_turn(*states[0]), await other._compact_in_turn(*states[1])]
    assert states[0][0] == states[1][0]
    with pytest.raises(CompactedError):
        await other.list("/registry/", revision=first)
    for backend in (one, other):
        await backend.close()


async def test_a_linearizable_read_sees_what_another_server_wrote(member):
    one, other = await etcd_backend(member, FakeClock()), await etcd_backend(member, FakeClock())
    revision = await one.create(A, b"1")
    assert await other.latest() > revision
    async for changes in other.watch("/registry/", after=revision - 1):
        assert [change.key for change in changes] in ([A], [])
        if changes.revision > revision:
            break
    for backend in (one, other):
        await backend.close()
