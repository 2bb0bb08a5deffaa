"""Runs aeronmd as a process."""

from mm_runtime.main import main

from aeronmd.service import build
from mmquant.codes import Role

if __name__ == "__main__":
    main(Role.AERONMD, build)
