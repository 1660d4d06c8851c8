"""What an attacker writes where a name, a message or an id is expected."""

import re

# a clipboard, a link, a title and a cleared screen; a C1 control sequence; a forged line of a log;
# text that turns round; half a pair of surrogates
TEXT = (
    "a\x1b]52;c;cm0gLXJm\x07\x1b]8;;http://evil.test\x1b\\b\x1b]0;t\x07\x1b[2J\x9b31m"
    "\n1999-01-01 CRITICAL forged\r\x85\u2028\u202egpj\u2066\u200f\x00\x08\x7f\ud800"
)
# what a terminal acts on, or what turns or ends a line
_ACTS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def acts_on_a_terminal(text: str) -> bool:
    """Tell whether a text does more to a terminal than to be shown line by line."""
    return _ACTS.search(text) is not None
