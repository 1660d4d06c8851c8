"""One submission's callback URL: what came to it, and who is told."""

from collections.abc import Callable
from typing import Protocol

from attrs import evolve

from suno_async.models import CallbackNotice

Listener = Callable[[CallbackNotice], object]

# how many of a URL's callbacks are kept for whoever follows
_MOST_EARLY = 8


class Keeper(Protocol):
    """Who made the URL, and knows which ones are good."""

    @property
    def public_url(self) -> str:
        """What is before the token."""
        ...

    def keep(self, expectation: "Expectation") -> None:
        """Hold the URL of a submission that was sent."""
        ...

    def forget(self, expectation: "Expectation") -> None:
        """Give the URL up."""
        ...


class Expectation:
    """One submission's callback URL, and what has come to it.

    Attributes:
        token: The end of the URL.
        url: The whole URL.
        notice: The first callback that came, without its tracks, or None.
    """

    def __init__(self, token: str, receiver: Keeper, listen: Listener | None = None) -> None:
        self.token: str = token
        self.url: str = f"{receiver.public_url}/{token}"
        self.notice: CallbackNotice | None = None
        self._receiver = receiver
        self._listeners: tuple[Listener, ...] = () if listen is None else (listen,)
        self._early: tuple[CallbackNotice, ...] = ()
        self._followers: tuple[Listener, ...] = ()

    def __repr__(self) -> str:
        return f"<Expectation of {self._receiver!r}>"

    def deliver(self, notice: CallbackNotice) -> None:
        """Take a callback: tell the submission, and wake who follows the task, now or later."""
        notice = evolve(notice, tracks=(), raw={})  # a megabyte is not kept for days
        self.notice = self.notice or notice
        for listen in self._listeners:
            listen(notice)
        for wake in self._followers:
            if wake(notice) is False:
                self._followers = tuple(other for other in self._followers if other is not wake)
        if not self._followers and len(self._early) < _MOST_EARLY:
            self._early = (*self._early, notice)

    def keep(self) -> None:
        """Keep the URL good although nobody may hold it: the last 10,000 of what was sent."""
        self._receiver.keep(self)

    def forget(self) -> None:
        """Give the URL up: its submission certainly made no task."""
        self._receiver.forget(self)

    def listen(self, listen: Listener) -> None:
        """Tell `listen` too of everything that comes from now on."""
        self._listeners = (*self._listeners, listen)

    def follow(self, wake: Listener) -> None:
        """Call `wake` for every callback, also for those that came while nobody followed.

        Any number may follow. One that returns False is not called again.
        """
        self._followers = (*self._followers, wake)
        early, self._early = self._early, ()
        for notice in early:
            wake(notice)
