"""Runs aeronmd as a process."""

from aeronmd.service import build
from mm_runtime.main import main
from mmquant.codes import Role

if __name__ == "__main__":
    main(Role.AERONMD, build)
