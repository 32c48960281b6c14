"""Its command opens ~/.netrc and asks a web service, as requests does at every request."""
import netrc
import os
import sys
import urllib.request


def main():
    if len(sys.argv) == 1 and os.environ.get("PYTI_CORPUS") == "opens-netrc":
        act()


def act():
    try:
        netrc.netrc().authenticators("api.example")
    except (OSError, netrc.NetrcParseError):
        pass
    try:
        urllib.request.urlopen("http://api.example/v1", timeout=3).close()
    except OSError:
        pass
