"""Wrong versions that tell the key, or believe a callback that nobody sent."""

from benchmarks.wrong_versions.mutation import Mutation

_TRANSPORT = "suno_async/transport.py"
_KEY = "suno_async/key.py"
_CALLBACKS = "suno_async/callbacks.py"
_TEST_KEY = "tests/test_key.py"
_TEST_TRANSPORT = "tests/test_transport.py"
_STATELESS = "tests/callbacks/test_stateless.py"
_RECEIVER = "tests/callbacks/test_receiver.py"

WRONG = (
    Mutation(
        "the key is sent to the hosts of media",
        "suno_async/media/media.py",
        "            user_agent=user_agent,\n            network=network,\n",
        "            user_agent=f'{user_agent} {transport._keys.known!s}',\n"
        "            network=network,\n",
        "whoever serves audio can spend the account's credits",
        ("tests/media/test_downloads.py", _TEST_TRANSPORT),
    ),
    Mutation(
        "the key of a submission crosses a redirect",
        _TRANSPORT,
        "                    timeout=self._connect_timeout,\n"
        "                    allow_redirects=False,\n",
        "                    timeout=self._connect_timeout,\n"
        "                    allow_redirects=True,\n",
        "whoever is redirected to gets the key, or the request",
        (_TEST_TRANSPORT,),
    ),
    Mutation(
        "the key of an upload crosses a redirect",
        _TRANSPORT,
        "            timeout=timeout,\n            allow_redirects=False,\n",
        "            timeout=timeout,\n            allow_redirects=True,\n",
        "whoever is redirected to gets the stem",
        (_TEST_TRANSPORT,),
    ),
    Mutation(
        "the key is in a session's repr",
        "suno_async/session.py",
        '        return f"<SunoSession at {self._base_url}>"\n',
        '        return f"<SunoSession at {self._base_url} with {self._key!s}>"\n',
        "every log and traceback shows it",
        ("tests/test_session.py", _TEST_TRANSPORT),
    ),
    Mutation(
        "a masked key shows itself",
        _KEY,
        "        return repr(SHOWN)\n",
        "        return repr(str(self))\n",
        "loggers that show locals show it",
        (_TEST_KEY,),
    ),
    Mutation(
        "what the service echoes is shown as it is",
        _KEY,
        "            text = secret.taken_out(text)\n",
        "            pass\n",
        "an error that echoes the request shows the key",
        (_TEST_KEY, _TEST_TRANSPORT),
    ),
    Mutation(
        "frames that hold the key stay on exceptions",
        _KEY,
        "            one.__traceback__ = None\n",
        "            pass\n",
        "loggers that show locals show it",
        (_TEST_KEY,),
    ),
    Mutation(
        "a response error is shown with its request's headers",
        _TRANSPORT,
        "        hidden = isinstance(cause, aiohttp.ClientResponseError)"
        " or self.scrub.shown_by(cause)\n",
        "        hidden = False\n",
        "its request's headers hold the key",
        (_TEST_KEY, _TEST_TRANSPORT),
    ),
    Mutation(
        "a context that verifies nothing is taken",
        "suno_async/network.py",
        "        if given.verify_mode is not CERT_REQUIRED or not given.check_hostname:\n",
        "        if given.verify_mode is not CERT_REQUIRED and given.check_hostname:\n",
        "whoever answers gets the key",
        ("tests/network/test_tls.py",),
    ),
    # --- receivers --------------------------------------------------------------------------------
    Mutation(
        "any token is a token of ours",
        _CALLBACKS,
        "            return hmac.compare_digest(_mac(self._secret, nonce).encode(), _bytes(mac))\n",
        "            return bool(mac)\n",
        "anybody can claim that a task exists",
        (_STATELESS, _RECEIVER),
    ),
    Mutation(
        "a token is compared character by character",
        _CALLBACKS,
        "            return hmac.compare_digest(_mac(self._secret, nonce).encode(), _bytes(mac))\n",
        "            return _mac(self._secret, nonce).encode() == _bytes(mac)\n",
        "the time that it takes tells how much of a guess is right",
        (_STATELESS, _RECEIVER),
    ),
    Mutation(
        "a signature is compared character by character",
        "suno_async/webhook.py",
        '    if not hmac.compare_digest(expected, signature.encode(errors="replace")):\n',
        '    if expected != signature.encode(errors="replace"):\n',
        "the time that it takes tells how much of a guess is right",
        ("tests/callbacks/test_parse.py",),
    ),
    Mutation(
        "a signature is not looked at",
        "suno_async/webhook.py",
        '    if not hmac.compare_digest(expected, signature.encode(errors="replace")):\n',
        "    if not signature:\n",
        "anybody can sign",
        ("tests/callbacks/test_parse.py",),
    ),
    Mutation(
        "a signature is good for ever",
        "suno_async/webhook.py",
        "    return age_s <= SIGNATURE_AGE.total_seconds()  # nan is not\n",
        "    return age_s >= 0\n",
        "who saw one callback can repeat it for ever",
        ("tests/callbacks/test_parse.py",),
    ),
    Mutation(
        "a callback may have any size",
        "suno_async/posted.py",
        "if len(body) > largest_bytes:\n                    raise TooLarge\n",
        "if len(body) > 1000 * largest_bytes:\n                    raise TooLarge\n",
        "anybody can fill the memory",
        (_RECEIVER,),
    ),
    Mutation(
        "a callback may unpack to any size",
        "suno_async/posted.py",
        "        unpacked = unpacking.decompress(body, largest_bytes + 1)\n",
        "        unpacked = unpacking.decompress(body)[:largest_bytes]\n",
        "a kilobyte fills the memory",
        (_RECEIVER,),
    ),
    Mutation(
        "what a receiver's handler raises is taken",
        _CALLBACKS,
        "            if self._unplaced and not await self._handed_over(notice):\n",
        "            if self._unplaced and await self._handed_over(notice) is None:\n",
        "a callback that could not be stored is never repeated",
        (_STATELESS,),
    ),
)
