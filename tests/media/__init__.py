"""Audio in and out: stems go up whole or not at all, tracks come down whole or not at all."""
