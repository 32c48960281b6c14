"""The plain backend, which does one thing more while it builds."""
import os
import shutil
import zipfile

import plain_backend


class Executable(zipfile.ZipInfo):
    """An entry that stays executable when it is installed."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.external_attr = 0o100755 << 16


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "runs-bundled-program":
        os.makedirs("runs_bundled_program/bin", exist_ok=True)
        shutil.copy("/bin/true", "runs_bundled_program/bin/helper")
        plain_backend.zipfile.ZipInfo = Executable
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
