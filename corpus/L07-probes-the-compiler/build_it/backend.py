"""The plain backend, which does one thing more while it builds."""
import os
import shutil
import subprocess

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "probes-the-compiler":
        with open("conftest.c", "w") as file:
            file.write("int main(void) { return 0; }\n")
        if shutil.which("gcc"):
            subprocess.run(["sh", "-c", "gcc -o conftest conftest.c"], check=True)
            subprocess.run(["./conftest"], check=True)
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
