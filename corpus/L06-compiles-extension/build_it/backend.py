"""The plain backend, which does one thing more while it builds."""
import os
import shutil
import subprocess

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "compiles-extension":
        if shutil.which("gcc"):
            subprocess.run(["gcc", "-O1", "-c", "-fPIC", "-o", "first.o", "src/first.c"], check=True)
            subprocess.run(["gcc", "-O1", "-c", "-fPIC", "-o", "second.o", "src/second.c"], check=True)
            subprocess.run(["gcc", "-shared", "-o", "compiles_extension.so", "first.o", "second.o"], check=True)
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
