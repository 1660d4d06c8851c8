"""One wrong version: what is changed, and why that is wrong."""

from pathlib import Path

from attrs import frozen


@frozen
class Mutation:
    """A wrong version of one file.

    Attributes:
        name: What it does wrong.
        file: The file, from the root of the project.
        old: The text that is right; it is there exactly once.
        new: What stands in its place.
        why: What that would cost a caller.
        tests: The files of tests that are to notice it, the likeliest first.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """Give the file's wrong text.

        Raises:
            LookupError: The right text is not there, or more than once.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise LookupError(f"{self.name!r}: its old text is {found} times in {self.file}")
        return text.replace(self.old, self.new)
