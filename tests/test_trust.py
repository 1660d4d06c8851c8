"""How far callbacks are relied on: it is earned slowly, lost at once, and never without proof."""

from hypothesis import given
from hypothesis import strategies as st

from suno_async.trust import (
    CALLBACK_SLACK_S,
    MOST_SLACK_S,
    MOST_SPARED_S,
    CallbackTrust,
)


def proved(count: int = 20, now_s: float = 0.0) -> CallbackTrust:
    """Make a trust that has seen so many stages announced."""
    trust = CallbackTrust()
    for _ in range(count):
        trust.learn(announced=True, now_s=now_s)
    return trust


def test_callbacks_earn_trust_and_lose_it() -> None:
    """At first not quite a ceiling interval, then one; next to none without them."""
    trust = CallbackTrust()
    assert trust.slack_s() == CALLBACK_SLACK_S
    assert not trust.is_firm
    trust = proved()
    assert trust.slack_s() == MOST_SLACK_S
    assert trust.is_firm
    trust.learn(announced=False, now_s=0.0)
    assert trust.slack_s() <= MOST_SLACK_S / 2
    assert not trust.is_firm
    for _ in range(3):
        trust.learn(announced=False, now_s=0.0)
    assert trust.slack_s() < 2


@given(st.lists(st.booleans(), max_size=300))
def test_no_look_is_put_off_by_more_than_a_ceiling_interval(history: list[bool]) -> None:
    """Whatever came or did not come."""
    trust = CallbackTrust()
    for announced in history:
        trust.learn(announced=announced, now_s=0.0)
    assert 0 <= trust.slack_s() <= MOST_SLACK_S


def spares(trust: CallbackTrust, now_s: float, zero_s: float = 0.0, looked_s: float = 0.0) -> bool:
    """Ask for a task that was looked at at some time."""
    return trust.spared_until_s("V5", 0, zero_s, looked_s, now_s) > now_s


def test_a_look_is_spared_while_callbacks_come() -> None:
    """The proof is any task's callback, and it holds for one ceiling interval."""
    trust = proved(now_s=100.0)
    assert trust.spared_until_s("V5", 0, 0.0, 60.0, 101.0) == 100.0 + MOST_SLACK_S
    assert spares(trust, 99.0 + MOST_SLACK_S, looked_s=60.0)
    assert not spares(trust, 100.0 + MOST_SLACK_S, looked_s=60.0)


def test_no_look_is_spared_without_trust() -> None:
    """Callbacks that have never come, or of which the last was missing, spare nothing."""
    assert not spares(CallbackTrust(), 1.0)
    trust = proved(now_s=100.0)
    trust.learn(announced=False, now_s=100.0)
    assert not spares(trust, 101.0, looked_s=100.0)


def test_one_callback_can_be_lost() -> None:
    """So a task is looked at after a while, however many callbacks come to others."""
    assert not spares(proved(now_s=200.0), 200.0, looked_s=199.0 - MOST_SPARED_S)


def test_one_look_in_vain_speaks_for_tasks_that_are_alike() -> None:
    """Of tasks that were submitted together, one at a time is looked at."""
    trust = proved(now_s=0.0)
    assert not spares(trust, 50.0, zero_s=1.0)  # it is looked at
    assert spares(trust, 50.0, zero_s=1.5)
    assert not spares(trust, 50.0, zero_s=9.0)
    assert not spares(trust, 70.0, zero_s=1.5)
