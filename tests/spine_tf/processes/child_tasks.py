"""What the children of test_child.py do."""

import faulthandler
import os
import signal
import time

from spine_tf.processes import child


def answer_twice(parent, name):
    for _ in range(2):
        parent.send(f"{name} {parent.recv()}")


def tell_variable(parent, name):
    os.write(2, b"a line for the log\n")
    parent.send(os.environ[name])


def tell_descriptors(parent, descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        parent.send("closed")
    else:
        parent.send("open")


def wait_for_ever(parent):
    parent.send(os.getpid())
    while True:
        parent.recv()


def crash(parent):
    faulthandler.disable()
    parent.recv()
    os.kill(os.getpid(), signal.SIGSEGV)


def be_killed_once(path, parent):
    """Is killed, until there is a file."""
    parent.recv()
    if not path.exists():
        if path.parent.exists():
            path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    parent.send("answered")
    parent.recv()


def hang(parent):
    parent.recv()
    time.sleep(60)


def have_a_child(parent):
    own = child.Child(answer_twice, "grandchild")
    own.send(1)
    parent.send((own.receive(), own.pid))
    parent.recv()
