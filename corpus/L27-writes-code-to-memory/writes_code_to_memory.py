"""Makes a file in memory and maps pages that may be written and executed, as libffi does, and runs no
program from them."""
import mmap
import os

if os.environ.get("PYTI_CORPUS") == "writes-code-to-memory":
    memory = os.memfd_create("libffi")
    os.ftruncate(memory, 4096)
    pages = mmap.mmap(memory, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    pages.write(b"\xc3")
    pages.close()
    os.close(memory)
    mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
