"""Callback URLs cannot be guessed, and comparing them tells nothing."""

import math
from collections import Counter

import pytest

from suno_async import CallbackReceiver, webhook
from suno_async.callbacks import CallbackReceiver as Receiver
from tests.callbacks.hosting import changed

SECRET = "a secret of the service"
TOKENS = 2_000


@pytest.mark.parametrize("secret", [None, SECRET], ids=["by itself", "with a secret"])
def test_tokens_cannot_be_guessed(secret: str | None) -> None:
    """Each has 144 random bits, and none follows from another."""
    receiver = CallbackReceiver("https://h/suno", secret=secret)
    held = [receiver.expect() for _ in range(TOKENS)]
    nonces = {expected.token[:24] for expected in held}
    assert len(nonces) == TOKENS
    for place in range(24):
        seen = Counter(nonce[place] for nonce in nonces)
        assert len(seen) == 64
        entropy = -sum(n / TOKENS * math.log2(n / TOKENS) for n in seen.values())
        assert entropy > 5.9


def test_a_token_is_good_at_one_place_alone() -> None:
    """Another secret, another nonce, another character anywhere: another token."""
    receiver = CallbackReceiver("https://h/suno", secret=SECRET)
    other = CallbackReceiver("https://h/suno", secret=f"{SECRET} ")
    token = receiver.expect().token
    assert receiver._is_known(token)
    assert not other._is_known(token)
    for place in range(len(token)):
        assert not receiver._is_known(changed(token, place))
    for near in (token[:-1], f"{token}0", token[:24], token[24:], token.upper(), f" {token}"):
        assert not receiver._is_known(near)


def test_secrets_are_compared_in_constant_time() -> None:
    """By the function that is made for it; without a secret, a digest is looked up."""
    for compares in (Receiver._is_known, webhook._checked_signature):
        assert "compare_digest" in compares.__code__.co_names
    receiver = CallbackReceiver("https://h/suno")
    expected = receiver.expect()
    assert all(expected.token.encode() not in digest for digest in receiver._expected)
    assert {len(digest) for digest in receiver._expected} == {32}


@pytest.mark.parametrize("hidden", [SECRET, "hmac-key-0123456789"])
def test_a_receiver_shows_no_secret(hidden: str) -> None:
    """Nor a token, in its `repr` or its expectations'."""
    receiver = CallbackReceiver("https://h/suno", secret=SECRET, hmac_key="hmac-key-0123456789")
    expected = receiver.expect()
    shown = f"{receiver!r} {expected!r} {receiver}"
    assert hidden not in shown
    assert expected.token not in shown
