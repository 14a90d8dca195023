"""Runs a command and prints what it cost: wall clock and processor seconds, largest resident set in KiB, exit status.

A process inherits the largest resident set of whoever starts it, so that a benchmark that has read music would count
that as the command's. This one is small: run it by `python -I -S launcher.py COMMAND ...`.
"""

import os
import sys
import time

quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (1, 2)]
started = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(process, 0)
wall_s = time.perf_counter() - started
print(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status))
