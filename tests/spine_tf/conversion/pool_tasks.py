"""Tasks for the workers of test_unbreakable.py."""

import os
import signal
import time


def square(number):
    return number * number


def die_at(task):
    number, path = task
    if number == 3 and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_die(number):
    os._exit(9)


def fail(number):
    raise ValueError(f"no {number}")


def wait_if_first(number):
    time.sleep(0.5 if number == 0 else 0.0)
    return number, time.monotonic()


def pid(number):
    time.sleep(0.05)
    return os.getpid()


def touch(path):
    path.touch()
    return path
