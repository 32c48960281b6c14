"""Copies /bin/true into a file in memory and executes that."""
import os

if os.environ.get("PYTI_CORPUS") == "runs-from-memory":
    memory = os.memfd_create("kworker")
    with open("/bin/true", "rb") as file:
        os.write(memory, file.read())
    child = os.fork()
    if child == 0:
        try:
            os.execve(memory, ["kworker"], {})
        finally:
            os._exit(127)
    os.waitpid(child, 0)
