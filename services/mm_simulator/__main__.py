"""Runs mm_simulator as a process."""

from mm_runtime.main import main

from mm_simulator.service import build
from mmquant.codes import Role

if __name__ == "__main__":
    main(Role.MM_SIMULATOR, build)
