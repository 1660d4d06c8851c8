"""What a run is going to cost, as far as that can be known."""

import pytest

from suno_async.cli.cost import estimate, learned_price


@pytest.mark.parametrize(
    ("songs", "price", "balance", "said"),
    [
        (28, 10.0, 1000.0, "28 songs to pay for, about 280 credits at 10 each, of 1,000 credits"),
        (1, 12.5, None, "1 song to pay for, about 12.50 credits at 12.50 each"),
        (3, None, 40.0, "3 songs to pay for, at a price that is not known here: --price gives one"),
        (5, 10.0, 49.0, "in the account, which is not enough"),
        (0, None, None, "0 songs to pay for"),
    ],
)
def test_what_is_said_of_the_cost(
    songs: int, price: float | None, balance: float | None, said: str
) -> None:
    """How many songs, what they cost, and whether there is enough, where that is known."""
    told = estimate(songs, price, balance)
    assert said in told
    assert ("not enough" in told) is ("not enough" in said)


@pytest.mark.parametrize(
    ("before", "after", "songs", "price"),
    [
        (100.0, 70.0, 3, 10.0),
        (100.0, 70.0, 0, None),
        (None, 70.0, 3, None),
        (100.0, None, 3, None),
        (100.0, 100.0, 3, None),
        (100.0, 500.0, 3, None),
    ],
)
def test_the_price_is_learned_from_the_balance(
    before: float | None, after: float | None, songs: int, price: float | None
) -> None:
    """Nothing is learned of a balance that is not known, or that has grown meanwhile."""
    assert learned_price(before, after, songs) == price
