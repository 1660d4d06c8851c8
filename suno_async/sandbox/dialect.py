"""The field forms in which the service has been seen to answer."""

import random
from typing import Literal

from attrs import frozen


@frozen
class Dialect:
    """Choose between the forms that PROTOCOL.md lists; the default is the usual one.

    Args:
        snake_case: Track fields of record-info as `audio_url` in place of `audioUrl`.
        camel_case_callbacks: Callbacks with `taskId` and `audioUrl` in place of snake_case.
        upper_case_callbacks: `callbackType` in upper case.
        code_as_text: The envelope's `code` as a string.
        text_key: Under which name the envelope carries its text.
        response_as_text: `response` as a JSON string.
        create_time: The form of a track's creation time.
        absent_url: How a URL that is not ready yet is written.
        source_urls: Whether tracks carry the original CDN's URLs as well.
        extra_fields: Whether unknown fields appear everywhere.
        error_code_as_text: `errorCode` as a string.
        missing_record: How a record that does not exist (yet) is answered.
        pending_response: How `response` looks while there are no tracks.
        values: Whether model names and the like are those seen in paid runs, or the documented.
        tracks_under: Where `response` has its tracks; `list` makes it the list itself.
        error_text_under: Where the text of a failure is; `response` is `response.errorMessage`.
        no_error: What `errorCode` is as long as nothing is wrong.
        credits_as_object: Whether the balance is `{"credits": …}` in place of a number.
        signed_urls: Whether files have signed URLs, which work byte for byte only.
    """

    snake_case: bool = False
    camel_case_callbacks: bool = False
    upper_case_callbacks: bool = False
    code_as_text: bool = False
    text_key: Literal["msg", "message"] = "msg"
    response_as_text: bool = False
    create_time: Literal["plain", "iso", "epoch_ms"] = "plain"
    absent_url: Literal[""] | None = ""
    source_urls: bool = False
    extra_fields: bool = False
    error_code_as_text: bool = False
    missing_record: Literal["422", "404", "empty"] = "422"
    pending_response: Literal["null", "null_list", "no_list"] = "null"
    values: Literal["seen", "documented"] = "seen"
    tracks_under: Literal["sunoData", "data", "suno_data", "list"] = "sunoData"
    error_text_under: Literal["errorMessage", "errorMsg", "response"] = "errorMessage"
    no_error: Literal[0, ""] | None = None
    credits_as_object: bool = False
    signed_urls: bool = False

    @classmethod
    def draw(cls, rng: random.Random) -> "Dialect":
        """Draw one of all the combinations."""

        def flip() -> bool:
            return rng.random() < 0.5

        return cls(
            snake_case=flip(),
            camel_case_callbacks=flip(),
            upper_case_callbacks=flip(),
            code_as_text=flip(),
            text_key="msg" if flip() else "message",
            response_as_text=flip(),
            create_time=rng.choice(("plain", "iso", "epoch_ms")),
            absent_url="" if flip() else None,
            source_urls=flip(),
            extra_fields=flip(),
            error_code_as_text=flip(),
            missing_record=rng.choice(("422", "404", "empty")),
            pending_response=rng.choice(("null", "null_list", "no_list")),
            values=rng.choice(("seen", "documented")),
            tracks_under=rng.choice(("sunoData", "data", "suno_data", "list")),
            error_text_under=rng.choice(("errorMessage", "errorMsg", "response")),
            no_error=rng.choice((None, 0, "")),
            credits_as_object=flip(),
            signed_urls=flip(),
        )
