"""Reads the time zone and asks a service for its public address, at an address of the documentation
range."""
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "asks-where-it-is":
    for path in ("/etc/timezone", "/etc/locale.conf"):
        try:
            with open(path, "rb") as file:
                file.read()
        except OSError:
            pass
    ask = urllib.request.Request("http://192.0.2.49/json")
    ask.add_header("Host", "ipinfo.io")
    try:
        urllib.request.urlopen(ask, timeout=3).close()
    except OSError:
        pass
