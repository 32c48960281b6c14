"""Has tempfile find a folder: it writes four bytes to a file of a random name and deletes it."""
import os
import tempfile

if os.environ.get("PYTI_CORPUS") == "probes-for-tempdir":
    tempfile.tempdir = None
    tempfile.gettempdir()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"blat")
