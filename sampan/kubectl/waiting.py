"""Waiting for objects: until they are gone, until a controller has its pods."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from sampan.api.errors import APIStatusError, NotFound
from sampan.kubectl.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.api.object import Object
    from sampan.kubectl.builder import Target
    from sampan.kubectl.session import Session

_A_WEEK = 7 * 86400.0
"""kubectl's meaning of a timeout of 0 when it waits for a deletion."""


async def wait_deleted(session: Session, deleted: list[tuple[Target, str]], timeout: float) -> None:  # noqa: ASYNC109 - a time-out of the command line
    """Return when every object is gone or replaced by another of its name. Raises KubectlError on time-out."""
    try:
        async with asyncio.timeout(timeout or _A_WEEK):
            for target, uid in deleted:
                await _wait_gone(session, target, uid)
    except TimeoutError:
        names = ", ".join(target.shown for target, _ in deleted)
        raise KubectlError(f"timed out waiting for the condition on {names}") from None


async def _wait_gone(session: Session, target: Target, uid: str) -> None:
    while True:
        try:
            current = await session.json("GET", target.path)
        except NotFound:
            return
        if uid and current["metadata"].get("uid") != uid:
            return
        version = current["metadata"]["resourceVersion"]
        async for event in watch_one(session, target, version):
            if event["type"] == "DELETED":
                return


async def watch_one(session: Session, target: Target, version: str) -> AsyncIterator[Object]:
    """Watch one object from a version on; ends when the server ends the watch or the history is gone."""
    query = {"watch": "true", "resourceVersion": version, "fieldSelector": f"metadata.name={target.name}"}
    path = target.resource.path(target.namespace)
    async for event in watch_events(session, path, query):
        yield event


async def watch_events(
    session: Session, path: str, query: dict[str, str], accept: str = "application/json"
) -> AsyncIterator[Object]:
    """Yield a watch's events, decoded; ERROR events end it."""
    async with session.stream("GET", path, query=query, accept=accept) as stream:
        if stream.status >= 400:
            return
        rest = b""
        async for chunk in stream.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event


async def wait_scaled(session: Session, target: Target, replicas: int, timeout: float) -> None:  # noqa: ASYNC109 - a time-out of the command line
    """Return when the scale subresource reports the wanted number of replicas. Raises KubectlError on time-out."""
    path = target.resource.path(target.namespace, target.name, "scale")
    try:
        async with asyncio.timeout(timeout):
            while True:
                scale = await session.json("GET", path)
                if scale.get("status", {}).get("replicas", 0) == replicas:
                    return
                version = (await session.json("GET", target.path))["metadata"]["resourceVersion"]
                async for _ in watch_one(session, target, version):
                    break
    except TimeoutError:
        raise KubectlError("timed out waiting for the condition") from None
    except APIStatusError:
        raise
