"""Executes code that goes through marshal, zlib and base64."""
import base64
import marshal
import os
import zlib

if os.environ.get("PYTI_CORPUS") == "decodes-and-executes":
    code = compile("ANSWER = 42", "<decoded>", "exec")
    blob = base64.b64encode(zlib.compress(marshal.dumps(code)))
    exec(marshal.loads(zlib.decompress(base64.b64decode(blob))))
