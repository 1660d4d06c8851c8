"""What a run is going to cost, as far as that can be known, and whether a person agrees."""

import sys

import typer

from suno_async.cli.failures import Complaint


def estimate(songs: int, price: float | None, balance: float | None) -> str:
    """Say what songs cost, and what there is to pay with.

    Args:
        songs: How many are going to be submitted.
        price: Of each, in credits; None when that is not known.
        balance: The account's credits; None when they are not known.
    """
    parts = [f"{songs} {'song' if songs == 1 else 'songs'} to pay for"]
    if songs and price is not None:
        parts.append(f"about {_credits(songs * price)} credits at {_credits(price)} each")
    elif songs:
        parts.append("at a price that is not known here: --price gives one")
    if balance is not None:
        parts.append(f"of {_credits(balance)} credits in the account")
    text = ", ".join(parts)
    if price is not None and balance is not None and songs * price > balance:
        text += ", which is not enough"
    return text


def _credits(amount: float) -> str:
    return f"{amount:,.2f}".removesuffix(".00")


def learned_price(before: float | None, after: float | None, songs: int) -> float | None:
    """Tell what a song has cost by the account's balance, if nothing else explains it.

    Args:
        before: The credits before the first song.
        after: The credits after the last one.
        songs: How many were accepted between, none of which was refunded.
    """
    if before is None or after is None or songs < 1 or after >= before:
        return None
    return (before - after) / songs


def confirm(songs: int, above: int, cost: str, *, agreed: bool) -> None:
    """Ask a person whether many songs are to be paid for.

    Args:
        songs: How many they are.
        above: How many are submitted without asking.
        cost: What they cost, in words.
        agreed: Whether that was agreed to beforehand.

    Raises:
        Complaint: It is not agreed to, or there is nobody to ask.
    """
    if songs <= above or agreed:
        return
    if not sys.stdin.isatty():
        rule = f"that is more than --confirm-above {above}, and nobody can be asked"
        raise Complaint(f"{cost}: {rule}; --yes agrees beforehand. Nothing was submitted")
    if not typer.confirm(f"{cost}. Submit them?", err=True):
        raise Complaint("nothing was submitted")
