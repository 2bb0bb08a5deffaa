"""Runs mm_recorder as a process."""

from mm_runtime.main import main

from mm_recorder.service import build
from mmquant.codes import Role

if __name__ == "__main__":
    main(Role.MM_RECORDER, build)
