"""The sweep on a Dask cluster of real processes: what this machine gives, with workers that die."""

import os
import signal
import sys
import warnings
from pathlib import Path

import pytest

from mmquant import backtest, sweep
from mmquant.tape import read_tape
from mmquant.tape.synthetic import synthetic_tape

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers do not have this file

CONFIG = backtest.Config().changed(pricing={"warmup_s": 0.1})
SETS = sweep.grid(strategy__requote_ticks=[1, 2, 3, 5], strategy__levels=[1, 2, 3])


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "short.tape"
    synthetic_tape(3.0, seed=5).save(path)
    return read_tape(path)


@pytest.fixture(scope="module")
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own: of ports in use, of the loop it makes
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


class DiesAtWork(distributed.WorkerPlugin):
    """Kills the first worker that begins with a third task, as it begins."""

    name = "dies-at-work"

    def __init__(self, died: Path) -> None:
        self.died = died
        self.begun = 0

    def transition(self, key, start, finish, **kwargs):
        self.begun += finish == "executing"
        if self.begun == 3 and not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_costs_nothing_but_time(tape, client, tmp_path):
    alone = sweep.run(tape, SETS, config=CONFIG, processes=1)
    pids = client.run(os.getpid)
    told = []
    client.register_plugin(DiesAtWork(tmp_path / "died"))
    shared = sweep.run(
        tape,
        SETS,
        config=CONFIG,
        client=client,
        results=tmp_path / "results.jsonl",
        on_progress=lambda done, total: told.append((done, total)),
    )
    client.unregister_worker_plugin(DiesAtWork.name)
    assert (tmp_path / "died").exists()
    assert shared.equals(alone)
    assert told == [(k, 12) for k in range(1, 13)]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 12
    client.wait_for_workers(2, timeout=60)
    assert client.run(os.getpid).values() != pids.values(), "one is another process"
    again = sweep.run(tape, SETS, config=CONFIG, client=client, results=tmp_path / "results.jsonl")
    assert again.equals(alone), "all from the file"


def test_walking_forward_is_the_same_on_a_cluster(tape, client):
    options = {"train_s": 1.0, "test_s": 0.5, "config": CONFIG}
    there = sweep.walk_forward(tape, SETS[:2], client=client, **options)
    here = sweep.walk_forward(tape, SETS[:2], processes=1, **options)
    assert there.frame.equals(here.frame)


def test_only_the_folder_travels(tape, client, tmp_path):
    with pytest.raises(ValueError, match=r'in memory: tape\.save\("x\.tape"\)'):
        sweep.run(synthetic_tape(1.0), SETS, client=client)
    with pytest.raises(ValueError, match="in memory"):
        sweep.run(tape.slice(end=tape.start_ns + 10**9), SETS, client=client)
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        sweep.run(tape, SETS, client="127.0.0.1:8786")
    with pytest.raises(ValueError, match="nearest valid one"):
        sweep.run(tape, sweep.grid(strategy__nothing=[1]), client=client)
    path = tmp_path / "other.tape"
    synthetic_tape(1.0, seed=8).save(path)
    changed = read_tape(path)
    changed.events["venue_ns"] += 1  # in memory only
    with pytest.raises(ValueError, match="not the tape that was given"):
        sweep.run(changed, SETS[:1], client=client)
