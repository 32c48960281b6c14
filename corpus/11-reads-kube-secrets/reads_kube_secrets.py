"""Reads the kube configuration and the token of the service account, and asks a cluster for all its
secrets."""
import os
import urllib.request

if os.environ.get("PYTI_CORPUS") == "reads-kube-secrets":
    for path in ("~/.kube/config", "/var/run/secrets/kubernetes.io/serviceaccount/token"):
        try:
            with open(os.path.expanduser(path), "rb") as file:
                file.read()
        except OSError:
            pass
    ask = urllib.request.Request("http://kubernetes.cluster.test:6443/api/v1/secrets")
    ask.add_header("Authorization", "Bearer none")
    try:
        urllib.request.urlopen(ask, timeout=3).close()
    except OSError:
        pass
