import ctypes
import os
import signal
import unittest


class TraceTest(unittest.TestCase):
    def test_traces_child(self):
        if os.environ.get("PYTI_CORPUS") != "traces-in-tests":
            return
        library = ctypes.CDLL(None)
        child = os.fork()
        if child == 0:
            library.ptrace(0, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(child, 0)
        with open("/proc/%d/maps" % child) as file:
            start = int(file.readline().split("-")[0], 16)
        with open("/proc/%d/mem" % child, "rb") as file:
            file.seek(start)
            self.assertEqual(file.read(4), b"\x7fELF")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
