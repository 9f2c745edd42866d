"""What the children of test_child.py do."""

import os


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
