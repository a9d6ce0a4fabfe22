# ruff: noqa: INP001 - a folder that is run, not a package
"""`python .github/release COMMAND`: see `--help`, and CONTRIBUTING.md for how a release goes."""

from release_tool.cli import main

if __name__ == "__main__":
    main()
