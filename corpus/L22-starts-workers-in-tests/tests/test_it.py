import multiprocessing
import os
import signal
import socket
import unittest

from starts_workers_in_tests import work


class WorkersTest(unittest.TestCase):
    def test_spawned_and_forked(self):
        if os.environ.get("PYTI_CORPUS") != "starts-workers-in-tests":
            return
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            queue = context.Queue()
            worker = context.Process(target=work, args=(queue,))
            worker.start()
            self.assertEqual(queue.get(timeout=20), worker.pid)
            worker.join()

    def test_loopback(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(b"hello")

    def test_killed(self):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
