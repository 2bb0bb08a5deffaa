"""What a process asks of the kernel and the C library about itself."""

import re
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from mm_runtime.process import share_one_heap

if sys.argv[1] == "shared":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
threads = [threading.Thread(target=libc.malloc, args=(10_000,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_threads_of_a_service_allocate_from_one_heap(is_shared, tmp_path):
    told = tmp_path / "heaps.xml"
    mode = "shared" if is_shared else "own"
    subprocess.run([sys.executable, "-c", HEAPS, mode, str(told)], check=True)
    heaps = re.findall(r"<heap nr=", told.read_text())
    assert (len(heaps) == 1) is is_shared
