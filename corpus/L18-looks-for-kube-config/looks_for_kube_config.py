"""Asks whether ~/.kube/config is there, and does not open it."""
import os

if os.environ.get("PYTI_CORPUS") == "looks-for-kube-config":
    os.path.exists(os.path.expanduser("~/.kube/config"))
    os.path.exists(os.path.expanduser("~/.config/gcloud/certificate_config.json"))
    os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount")
