"""Loads one URL with wrk. Its script, which holds the token, is a private file: nothing secret goes into argv."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile

from sampan.base.errors import SampanError


class WrkError(SampanError):
    """wrk is missing, or the server did not answer as it should."""


def check() -> None:
    """Raise WrkError with the cure when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise WrkError("wrk makes the load and is not installed: apt-get install wrk")


def rate(url: str, *, connections: int, seconds: int, token: str = "", script: str = "") -> float:
    """Requests per second over so many connections. script: Lua that shapes the requests. Raises WrkError."""
    lines = [f'wrk.headers["Authorization"] = "Bearer {token}"'] if token else []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:  # mode 0600
        file.write("\n".join([*lines, script]))
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "20s", "-s", file.name, url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if done.returncode or found is None:
        raise WrkError(f"wrk failed on {url}: {done.stderr.strip() or done.stdout.strip()}")
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout):
        raise WrkError(f"{url}: {wrong.group(1)} answers were errors")
    if not float(found.group(1)):
        raise WrkError(f"{url}: no request was answered")
    return float(found.group(1))
