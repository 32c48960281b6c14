"""The plain backend, which does one thing more while it builds."""
import os

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "differs-from-its-sources":
        plain = plain_backend._files
        plain_backend._files = lambda: [name for name in plain() if not name.endswith("/more.py")]
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
