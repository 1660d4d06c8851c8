"""Where the API is, and where uploads go: the hosts that get the key."""

import os
from urllib.parse import urlsplit

from suno_async.errors import InvalidRequest
from suno_async.uri import uri_of

# spec: the server
BASE_URL = "https://api.apikley.ru"

# the conventional name beside that of the key
BASE_URL_VARIABLE = "APIKLEY_BASE_URL"

# docs: uploads have a service of their own, here behind the API's host
UPLOADS_PREFIX = "/file-upload"


def read_base_url(given: object) -> str:
    """Check where the API is; None takes the environment's address, or else the usual one.

    Returns:
        Scheme, host and path prefix, without a slash at the end.

    Raises:
        InvalidRequest: It is no http or https URL, or has a user, a query or a fragment.
    """
    if given is not None:
        return _checked("base_url", given)
    return _checked(BASE_URL_VARIABLE, os.environ.get(BASE_URL_VARIABLE) or BASE_URL)


def read_upload_base_url(given: object, base_url: str) -> str:
    """Check where uploads go; None for the API's own host.

    Raises:
        InvalidRequest: It is no such URL, or is http where the API is https: the key goes there.
    """
    if given is None:
        return base_url + UPLOADS_PREFIX
    url = _checked("upload_base_url", given)
    if url.startswith("http:") and base_url.startswith("https:"):
        raise InvalidRequest("upload_base_url", url, "must be https, since the key goes there")
    return url


def _checked(name: str, given: object) -> str:
    url = uri_of(name, given)
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        rule = "must be a URL without user, password, query and fragment"
        raise InvalidRequest(name, "(hidden)", rule)
    return url.rstrip("/")
