"""`python -m legate_jit` is the `legate-jit` command."""

from legate_jit.cli.main import main

if __name__ == "__main__":
    main()
