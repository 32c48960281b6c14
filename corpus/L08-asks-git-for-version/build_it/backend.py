"""The plain backend, which does one thing more while it builds."""
import os
import subprocess

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "asks-git-for-version":
        for command in (
            ["git", "rev-parse", "--show-toplevel"],
            ["git", "describe", "--dirty", "--tags", "--long"],
            ["git", "-c", "log.showSignature=false", "log", "-n", "1", "HEAD"],
            ["git", "check-attr", "export-subst", "--", "."],
        ):
            try:
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            except OSError:
                pass
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
