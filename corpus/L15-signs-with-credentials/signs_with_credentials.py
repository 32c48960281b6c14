"""Its command reads ~/.aws/credentials and sends a request that is signed with the key and does not
hold it, as boto3 does."""
import hashlib
import hmac
import os
import sys
import urllib.request


def main():
    if len(sys.argv) == 1 and os.environ.get("PYTI_CORPUS") == "signs-with-credentials":
        act()


def act():
    values = {}
    try:
        with open(os.path.expanduser("~/.aws/credentials")) as file:
            for line in file:
                name, _, value = line.partition("=")
                values[name.strip()] = value.strip()
    except OSError:
        pass
    secret = values.get("aws_secret_access_key", "none").encode()
    ask = urllib.request.Request("http://storage.cloud.example/bucket?list-type=2")
    ask.add_header("Authorization", "Signature=" + hmac.new(secret, b"GET", hashlib.sha256).hexdigest())
    try:
        urllib.request.urlopen(ask, timeout=3).close()
    except OSError:
        pass
