"""Its module is one call that decodes and executes the real one, as the products for that make it."""
import marshal
import os

if os.environ.get("PYTI_CORPUS") == "protects-its-code":
    code = compile("def answer():\n    return 42\n", "<protected>", "exec")
    protected = marshal.dumps(code)
    exec(marshal.loads(protected))
