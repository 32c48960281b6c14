"""Its command asks the metadata service three times, looks for stored credentials and reads the
machine's name, as google-auth does."""
import os
import sys
import urllib.request


def main():
    if len(sys.argv) == 1 and os.environ.get("PYTI_CORPUS") == "looks-for-identity" and os.path.isdir("/.pyti"):
        act()


def act():
    for path in ("~/.netrc", "/sys/class/dmi/id/product_name"):
        try:
            with open(os.path.expanduser(path), "rb") as file:
                file.read()
        except OSError:
            pass
    os.path.exists(os.path.expanduser("~/.config/gcloud/application_default_credentials.json"))
    for _ in range(3):
        ask = urllib.request.Request("http://169.254.169.254", headers={"Metadata-Flavor": "Google"})
        try:
            urllib.request.urlopen(ask, timeout=1).close()
        except OSError:
            pass
