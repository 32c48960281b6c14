"""Connects to a pool's port and subscribes, in the language of miners. It mines nothing."""
import os
import socket

if os.environ.get("PYTI_CORPUS") == "speaks-stratum":
    try:
        pool = socket.create_connection(("pool.miner.example", 3333), timeout=3)
        pool.sendall(b'{"id": 1, "method": "mining.subscribe", "params": ["corpus/1.0"]}\n')
        pool.sendall(b'{"id": 2, "method": "mining.authorize", "params": ["nobody", "x"]}\n')
        pool.recv(1024)
        pool.close()
    except OSError:
        pass
