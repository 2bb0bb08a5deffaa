"""Runs the offline venue for a test, and asks it over HTTP."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def venue(*arguments):
    """Run the command on a free port; yield (process, host:port)."""
    command = [sys.executable, "-m", "mm_venue", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("mm_venue listening on "), process.stderr.read()
            yield process, line.split()[-1]
        finally:
            process.terminate()


def get(address, target):
    """Return (status, parsed body, headers) of a GET."""
    try:
        with urllib.request.urlopen(f"http://{address}{target}", timeout=15) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.loads(problem.read()), problem.headers


def post(address, **fault):
    """Arm a fault; return (status, parsed body)."""
    request = urllib.request.Request(
        f"http://{address}/debug/faults", json.dumps(fault).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.loads(problem.read())
