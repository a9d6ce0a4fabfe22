"""Two executors that count words: `at_once` in the worker itself, `later` in a service of its own."""
