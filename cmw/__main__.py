"""`python -m cmw` is `cmw`."""

from cmw.cli.main import main

if __name__ == "__main__":
    main()
