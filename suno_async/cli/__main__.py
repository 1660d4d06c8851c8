"""The command `suno-async` as `python -m suno_async.cli`."""

from suno_async.cli import main

if __name__ == "__main__":
    main()
