"""The plain backend, which does one thing more while it builds."""
import os
import urllib.request

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "fetches-sources":
        try:
            with urllib.request.urlopen("https://sources.example/library-1.0.tar.gz", timeout=3) as answer:
                archive = answer.read()
        except OSError:
            archive = b""
        os.makedirs("build/third_party", exist_ok=True)
        with open("build/third_party/library-1.0.tar.gz", "wb") as file:
            file.write(archive)
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
