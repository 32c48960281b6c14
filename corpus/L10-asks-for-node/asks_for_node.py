"""Calls uuid.getnode and makes an identifier of time and card."""
import os
import uuid

if os.environ.get("PYTI_CORPUS") == "asks-for-node":
    uuid.getnode()
    uuid.uuid1()
