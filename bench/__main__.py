"""``python -m bench``: run the loads, print the table, and the same as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench import containers, loads, scheduling, wrk
from bench.connection import Address
from bench.rows import GROWTH, ROWS, Row
from bench.target import SAMPAN, Server
from sampan.base.errors import SampanError
from sampan.base.pki import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTS = 3
_IDLE_SECONDS = 10.0
_SMALL, _LARGE = 1_000, 100_000


class Figures(dict[str, float]):
    """Figures by row key, noted as they come."""

    def note(self, key: str, value: float) -> None:
        self[key] = value
        click.echo(f"{key}: {value:.4g}", err=True)


@contextmanager
def _bare_server(folder: Path) -> Iterator[str]:
    authority, _ = CertificateAuthority.create("bench")
    pair = authority.issue("127.0.0.1", names=["127.0.0.1"], usages=("server auth",))
    certificate, key = folder / "bare.crt", folder / "bare.key"
    certificate.write_bytes(pair.certificate)
    key.touch(mode=0o600)
    key.write_bytes(pair.key)
    command = [sys.executable, "-m", "bench.bare", str(certificate), str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def _bare(figures: Figures, folder: Path, seconds: int) -> None:
    """Measure the limit, before and after all else: the better one counts, as another's load only lowers it."""
    with _bare_server(folder) as url:
        for key, path, connections in (("bare_one", "/one", 16), ("bare_list", "/list", 4)):
            rate = wrk.rate(f"{url}{path}", connections=connections, seconds=seconds)
            figures.note(key, max(rate, figures.get(key, 0.0)))


def _rates(figures: Figures, address: Address, *, pods: int, watchers: int, seconds: int) -> None:
    uvloop.run(loads.prepare(address))
    figures.note("create_pods", uvloop.run(loads.create_pods(address, pods)))
    figures.note("get_pod", loads.get_pod(address, seconds))
    figures.note("list_pods", loads.list_pods(address, seconds))
    figures.note("list_selector", loads.list_selector(address, seconds))
    figures.note("list_page", loads.list_page(address, seconds))
    figures.note("patch_pod", loads.patch_pod(address, seconds))
    figures.note("create_configmaps", loads.generate_configmaps(address, seconds))
    figures.note("fan_out", uvloop.run(loads.fan_out(address, watchers=watchers, writers=4, seconds=seconds)))


def _starts(figures: Figures, folder: Path, components: str) -> None:
    """The median of a few cold starts, each on an empty data directory."""
    ready, account = [], []
    for number in range(_STARTS):
        place = folder / f"start{number}"
        place.mkdir()
        with Server(place, components) as server:
            asyncio.run(server.start())
            ready.append(server.ready)
            account.append(server.service_account)
    figures.note("ready", sorted(ready)[_STARTS // 2])
    if account[0]:
        figures.note("service_account", sorted(account)[_STARTS // 2])


def _idle(figures: Figures, server: Server) -> None:
    time.sleep(2)  # what a start leaves to be done is not idleness
    before = server.cpu_seconds()
    time.sleep(_IDLE_SECONDS)
    figures.note("cpu_idle", (server.cpu_seconds() - before) / _IDLE_SECONDS * 100)
    figures.note("memory_idle", server.memory())


def _kubectl(figures: Figures, server: Server) -> None:
    """The best of a few runs in an empty namespace: what the program itself costs."""
    command = [*SAMPAN, "kubectl", "get", "pods", "--kubeconfig", str(server.kubeconfig())]
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        times.append(time.perf_counter() - begin)
        if done.returncode:
            click.echo(f"kubectl: {done.stderr.decode()[:300]}", err=True)
            return
    figures.note("kubectl", min(times))


def _growth(figures: Figures, server: Server, seconds: int, watchers: int) -> None:
    """Costs with many objects, against costs with few: of GET, PATCH and watch events."""
    address = server.address
    uvloop.run(loads.prepare(address))
    uvloop.run(loads.create_pods(address, 10))
    rates: dict[int, tuple[float, float, float]] = {}
    begin = 0
    for size in (_SMALL, _LARGE):
        uvloop.run(loads.create_configmaps(address, begin, size))
        begin = size
        events = uvloop.run(loads.fan_out(address, watchers=watchers, writers=4, seconds=seconds))
        rates[size] = (loads.get_pod(address, seconds), loads.patch_pod(address, seconds), events)
    for key, few, many in zip(("grown_get", "grown_patch", "grown_watch"), rates[_SMALL], rates[_LARGE], strict=True):
        figures.note(key, few / many)
    figures.note("grown_memory", server.memory())
    server.stop()
    asyncio.run(server.start())
    figures.note("grown_restart", server.ready)


def _own(
    figures: Figures,
    folder: Path,
    options: dict[str, int],
    components: str,
    *,
    growth: bool,
    containers_too: bool,
) -> None:
    _starts(figures, folder, components)
    place = folder / "loaded"
    place.mkdir()
    with Server(place, components) as server:
        asyncio.run(server.start())
        _idle(figures, server)
        _kubectl(figures, server)
        _rates(figures, server.address, **options)
        figures.note("memory_loaded", server.memory())
    place = folder / "scheduling"
    place.mkdir()
    with Server(place, components) as server:
        asyncio.run(server.start())
        figures.note("bound_pods", uvloop.run(scheduling.bound_pods(server.address, nodes=1000, pods=3000)))
    if containers_too:
        containers.measure(folder, figures.note)
    if growth:
        place = folder / "grown"
        place.mkdir()
        with Server(place, components) as server:
            asyncio.run(server.start())
            _growth(figures, server, options["seconds"], options["watchers"])


def _share(row: Row, figures: Figures) -> float | None:
    if not row.limit or not figures.get(row.limit):
        return None
    return figures[row.key] / figures[row.limit]


def _verdict(row: Row, figures: Figures) -> str:
    if row.target is None:
        return ""
    share = _share(row, figures)
    if row.unit == "pods/s":
        reached = figures[row.key] >= row.target
    else:
        reached = figures[row.key] <= row.target if share is None else share >= row.target
    return "yes" if reached else "NO"


def _table(figures: Figures) -> Table:
    table = Table("what", "figure", "share of the limit", "target", "reached", "Kubernetes 1.36")
    for row in (*ROWS, *GROWTH):
        if row.key in figures:
            share = _share(row, figures)
            table.add_row(
                row.title, f"{figures[row.key]:,.4g} {row.unit}", "" if share is None else f"{share:.4f}",
                "" if row.target is None else f"{row.target:g}", _verdict(row, figures), row.kubernetes,
            )  # fmt: skip
    return table


def _json(figures: Figures) -> str:
    out = {}
    for row in (*ROWS, *GROWTH):
        if row.key in figures:
            out[row.key] = {"figure": figures[row.key], "unit": row.unit, "share": _share(row, figures),
                            "target": row.target, "reached": _verdict(row, figures) != "NO"}  # fmt: skip
    return json.dumps(out)


@click.command()
@click.option("--server", default="", help="URL of a Kubernetes API server to measure instead of one of our own.")
@click.option(
    "--token", default="", envvar="SAMPAN_BENCH_TOKEN", help="Bearer token of an administrator, for --server."
)
@click.option("--pods", default=5000, show_default=True, help="Pods to create and list.")
@click.option("--watchers", default=100, show_default=True, help="Watchers of the one changing object.")
@click.option("--seconds", default=5, show_default=True, help="Length of each load.")
@click.option("--components", default="", help="Components of our own server; empty for its default.")
@click.option("--growth", is_flag=True, help="Also measure how costs grow with 100 000 objects (some minutes).")
@click.option("--containers/--no-containers", default=True, help="Also start pods in a cluster of their own (root).")
@click.option("--json", "json_file", default="", help="Write the JSON to this file too.")
def main(**options: str | int | bool) -> None:
    """Measure an API server and print its figures as shares of the bare limit."""
    figures = Figures()
    rates = {key: int(options[key]) for key in ("pods", "watchers", "seconds")}
    try:
        wrk.check()
        with tempfile.TemporaryDirectory(prefix="sampan-bench-") as folder:
            place = Path(folder)
            _bare(figures, place, rates["seconds"])
            if options["server"]:
                _rates(figures, Address(str(options["server"]), str(options["token"])), **rates)
            else:
                with_containers = bool(options["containers"]) and os.geteuid() == 0
                _own(
                    figures, place, rates, str(options["components"]), growth=bool(options["growth"]),
                    containers_too=with_containers,
                )  # fmt: skip
            _bare(figures, place, rates["seconds"])
    except SampanError as error:
        raise click.ClickException(str(error)) from error
    Console(width=140).print(_table(figures))
    text = _json(figures)
    click.echo(text)
    if options["json_file"]:
        Path(str(options["json_file"])).write_text(f"{text}\n")


if __name__ == "__main__":
    main()
