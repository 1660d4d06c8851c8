"""The web service of the README: its code as it stands there, run by real servers."""
