"""The HTTP protocol: parsing, pipelining, limits, streams, upgrades."""

import asyncio
import time

import pytest

from sampan.apiserver.http.connection import BODY_LIMIT, IDLE_SECONDS, STALL_SECONDS, STRANGER_LIMIT
from sampan.apiserver.http.hub import Hub


class Transport:
    """Remembers what is written."""

    def __init__(self):
        self.data = b""
        self.closed = False
        self.reading = True

    def write(self, data):
        self.data += bytes(data)

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def get_extra_info(self, name):
        return None


class Service:
    """Answers with what the test wants."""

    def __init__(self):
        self.requests = []
        self.answer = lambda request: b"<%b>" % request.head.path.encode()
        self.known = True

    def serve(self, request):
        self.requests.append(request)
        return self.answer(request)

    def knows(self, head, connection):
        return self.known


@pytest.fixture
async def parts():
    service = Service()
    async with asyncio.TaskGroup() as group:
        hub = Hub(service, group)
        connection = hub.connection()
        transport = Transport()
        connection.connection_made(transport)
        yield service, hub, connection, transport
        connection.connection_lost(None)


async def test_repeated_heads_are_parsed_once(parts):
    service, _, connection, transport = parts
    data = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\n\r\n"
    connection.data_received(data)
    connection.data_received(data)
    assert transport.data == b"</a></a>"
    assert service.requests[0].head is service.requests[1].head
    assert service.requests[0].head.headers == {"host": "h", "accept": "a/b"}
    assert service.requests[0].head.query == "x=1"


async def test_requests_in_pieces_are_put_together(parts):
    service, _, connection, transport = parts
    for piece in (b"POST /b HTT", b"P/1.1\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"):
        connection.data_received(piece)
    assert service.requests[0].body == b"abcd"
    assert transport.data == b"</b>"


async def test_pipelined_requests_are_answered_in_order(parts):
    service, _, connection, transport = parts
    gate = asyncio.get_running_loop().create_future()

    async def slow():
        await gate
        return b"slow;"

    service.answer = lambda request: slow() if request.head.path == "/slow" else b"quick;"
    connection.data_received(b"GET /slow HTTP/1.1\r\n\r\nGET /quick HTTP/1.1\r\n\r\n")
    assert transport.data == b""
    gate.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.data == b"slow;quick;"


async def test_connection_close_is_honoured(parts):
    _, _, connection, transport = parts
    connection.data_received(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert transport.closed


async def test_nonsense_is_refused(parts):
    _, _, connection, transport = parts
    connection.data_received(b"\x16\x03\x01 not http\r\n\r\n")
    assert transport.data.startswith(b"HTTP/1.1 400 ")
    assert transport.closed


async def test_huge_heads_are_refused(parts):
    _, _, connection, transport = parts
    connection.data_received(b"GET / HTTP/1.1\r\n")
    for _ in range(40):
        connection.data_received(b"X-Long: " + b"a" * 30000 + b"\r\n")
        if transport.closed:
            break
    assert transport.closed
    assert b" 4" in transport.data[:16]


async def test_bodies_over_the_limit_are_dropped_and_marked(parts):
    service, _, connection, _ = parts
    size = BODY_LIMIT + 10
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
    chunk = b"x" * 65536
    for _ in range(size // len(chunk)):
        connection.data_received(chunk)
    connection.data_received(b"x" * (size % len(chunk)))
    assert service.requests[0].too_large
    assert service.requests[0].body == b""


async def test_idle_connections_are_overdue_after_their_time(parts):
    _, hub, connection, _ = parts
    now = hub.now()
    assert not connection.overdue(now + IDLE_SECONDS - 1)
    assert connection.overdue(now + IDLE_SECONDS + 1)


async def test_long_answers_wait_for_the_client(parts):
    service, _, connection, transport = parts
    service.answer = lambda request: b"z" * 2_000_000
    connection.pause_writing()
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert len(transport.data) < 2_000_000
    connection.resume_writing()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(transport.data) == 2_000_000


class Stream:
    """A stream that takes the connection over."""

    def __init__(self):
        self.data = b""
        self.is_lost = False

    def begin(self, connection):
        self.connection = connection

    def resumed(self): ...

    def lost(self):
        self.is_lost = True

    def feed_data(self, data):
        self.data += data

    def feed_eof(self): ...


async def test_bytes_behind_an_upgrade_reach_who_takes_the_connection_over(parts):
    service, _, connection, _ = parts
    stream = Stream()
    service.answer = lambda request: stream
    head = b"GET /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    connection.data_received(head + b"early")
    connection.take_over(stream)
    connection.data_received(b" and late")
    assert stream.data == b"early and late"


async def test_streams_learn_that_the_client_left(parts):
    service, _, connection, _ = parts
    stream = Stream()
    service.answer = lambda request: stream
    connection.data_received(b"GET /watch HTTP/1.1\r\n\r\n")
    connection.connection_lost(None)
    assert stream.is_lost


async def test_repeated_headers_are_joined_in_order(parts):
    service, _, connection, _ = parts
    connection.data_received(b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\na: 3\r\nA: 4\r\n\r\n")
    assert service.requests[0].head.headers == {"a": "1, 3, 4", "b": "2"}


async def test_head_of_very_many_repeated_headers_costs_little(parts):
    _, _, connection, transport = parts
    started = time.process_time()
    connection.data_received(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 400_000)
    assert transport.data.startswith(b"HTTP/1.1 431 ")
    assert time.process_time() - started < 2


async def test_head_in_very_many_pieces_is_refused(parts):
    _, _, connection, transport = parts
    connection.data_received(b"GET /")
    for _ in range(5000):
        connection.data_received(b"a")
        if transport.closed:
            break
    assert transport.data.startswith(b"HTTP/1.1 431 ")


async def test_long_bodies_of_strangers_are_dropped_as_they_come(parts):
    service, _, connection, _ = parts
    service.known = False
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (STRANGER_LIMIT + 2))
    connection.data_received(b"x" * STRANGER_LIMIT)
    connection.data_received(b"x")
    assert connection._body == b""
    connection.data_received(b"x")
    assert service.requests[0].too_large


async def test_slow_bodies_end_after_their_time(parts):
    _, hub, connection, _ = parts
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nx")
    now = hub.now()
    assert not connection.overdue(now + 59)
    assert connection.overdue(now + 61)


async def test_pipelined_requests_wait_for_a_client_that_takes_no_answers(parts):
    service, _, connection, transport = parts
    connection.pause_writing()
    connection.data_received(b"GET /x HTTP/1.1\r\n\r\n" * 100)
    assert not service.requests
    assert not transport.reading
    connection.resume_writing()
    assert len(service.requests) == 100
    assert transport.reading


async def test_client_that_never_takes_a_long_answer_is_hung_up_on(parts):
    service, hub, connection, _ = parts
    service.answer = lambda request: b"z" * 2_000_000
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    connection.pause_writing()
    assert connection.overdue(hub.now() + STALL_SECONDS + 1)


async def test_floods_behind_an_upgrade_wait_until_somebody_takes_over(parts):
    service, _, connection, transport = parts
    stream = Stream()
    service.answer = lambda request: stream
    connection.data_received(b"GET /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
    connection.data_received(b"x" * 70_000)
    assert not transport.reading
    connection.take_over(stream)
    assert transport.reading
    assert len(stream.data) == 70_000


async def test_repeated_upgrades_are_upgrades_each_time(parts):
    service, _, connection, _ = parts
    service.answer = lambda request: b"no;"
    head = b"GET /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    connection.data_received(head)
    connection.data_received(head)
    assert [request.upgrade for request in service.requests] == [True, True]
