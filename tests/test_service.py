"""Services that fail while they start: what went wrong is told, and nothing else."""

import pytest
from memory_bus import MemoryBus, SteppedClock
from mm_recorder.service import Recorder
from mm_runtime.agent import run
from mm_runtime.settings import (
    RecorderSettings,
    RuntimeSettings,
    SessionSettings,
    SimulatorSettings,
)
from mm_runtime.transport import DriverLost
from mm_simulator.service import Simulator


class BreakingBus(MemoryBus):
    """Opens so many publications; then the driver is lost, which `check` has not noticed yet."""

    def __init__(self, publications):
        super().__init__()
        self.left = publications

    def publisher(self, *arguments, **options):
        if not self.left:
            raise DriverLost("the driver is gone")
        self.left -= 1
        return super().publisher(*arguments, **options)


@pytest.mark.parametrize("publications", [0, 1, 2, 3])
def test_a_driver_that_is_lost_at_the_start_is_what_is_told(tmp_path, publications):
    settings = RuntimeSettings(state_directory=str(tmp_path))
    simulator = Simulator(settings, SimulatorSettings(), SteppedClock())
    simulator.connect = BreakingBus(publications).connect
    with pytest.raises(DriverLost, match="the driver is gone"):
        run(simulator, None, lambda: True)


def test_a_recorder_that_has_not_started_may_be_asked_for_its_health():
    session = SessionSettings(directory="/nowhere")
    recorder = Recorder(RuntimeSettings(session=session), RecorderSettings(), SteppedClock())
    assert recorder.fault() == ""
