"""While it is built, it compiles C sources with the machine's compiler, which starts assembler and
linker."""

ANSWER = 42
