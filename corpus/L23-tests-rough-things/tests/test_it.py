import os
import shutil
import socket
import subprocess
import tempfile
import unittest


class RoughTest(unittest.TestCase):
    def setUp(self):
        if os.environ.get("PYTI_CORPUS") != "tests-rough-things":
            self.skipTest("it is not asked for")

    def test_deletes_its_own(self):
        folder = tempfile.mkdtemp()
        for number in range(50):
            with open(os.path.join(folder, "%d.txt" % number), "w") as file:
                file.write("x")
        subprocess.run(["rm", "-rf", folder], check=True)
        self.assertFalse(os.path.exists(folder))

    def test_home(self):
        folder = os.path.join(os.path.expanduser("~"), ".tests-rough-things")
        os.makedirs(folder)
        with open(os.path.join(folder, "settings"), "w") as file:
            file.write("a = 1\n")
        shutil.rmtree(folder)

    def test_kills(self):
        child = subprocess.Popen(["sleep", "30"])
        child.kill()
        child.wait()

    def test_no_such_name(self):
        with self.assertRaises(OSError):
            socket.getaddrinfo("no-such-host.invalid", 80)
