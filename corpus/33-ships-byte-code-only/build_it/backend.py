"""The plain backend, which does one thing more while it builds."""
import os
import py_compile

import plain_backend

SOURCE = "ships_byte_code_only/payload.py"


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return plain_backend.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.environ.get("PYTI_CORPUS") == "ships-byte-code-only":
        py_compile.compile(SOURCE, cfile=SOURCE + "c", doraise=True)
        plain = plain_backend._files
        plain_backend._files = lambda: [name for name in plain() if name != SOURCE] + [SOURCE + "c"]
    return plain_backend.build_wheel(wheel_directory, config_settings, metadata_directory)
