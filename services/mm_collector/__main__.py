"""Runs mm_collector as a process."""

from mm_runtime.main import main

from mm_collector.service import build
from mmquant.codes import Role

if __name__ == "__main__":
    main(Role.MM_COLLECTOR, build)
