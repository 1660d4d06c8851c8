"""Bodies that are nearly those of the service, and bytes that only look like JSON.

A body is made of one that was seen: some of its values are exchanged for odd ones, which Python
could not hold (numbers of ten thousand digits, half pairs of surrogates, control characters), some
of its keys come twice, and some of its bytes are lost, doubled or exchanged.
"""

import json
import os
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st

# how many inputs each property gets, in the suite and in a long run (`SUNO_TEST_LONG=1`)
IS_LONG = "SUNO_TEST_LONG" in os.environ
FUZZING = settings(
    settings.get_profile("suite"),
    derandomize=not IS_LONG,
    database=None,
    # bodies of tens of kilobytes take too long to be made smaller
    phases=[Phase.explicit, Phase.generate],
)
EXAMPLES = int(os.environ.get("SUNO_TEST_EXAMPLES", "20000" if IS_LONG else "150"))


class Raw(bytes):
    """A piece of JSON, or of what only looks so, that is written as it is."""


TRACK: dict[str, Any] = {
    "id": "a1",
    "audioUrl": "https://cdn.example/a1.mp3",
    "audio_url": "",
    "streamAudioUrl": "https://cdn.example/a1",
    "sourceAudioUrl": None,
    "imageUrl": "https://cdn.example/a1.jpeg",
    "prompt": "[Verse] …",
    "title": "Harbour",
    "tags": "folk, quiet",
    "modelName": "chirp-crow",
    "createTime": "2025-01-01 00:00:00",
    "duration": 181.2,
}
RECORD: dict[str, Any] = {
    "taskId": "t1",
    "parentMusicId": "",
    "param": json.dumps({"title": "Harbour"}),
    "response": {"taskId": "t1", "sunoData": [TRACK, {**TRACK, "id": "a2"}]},
    "status": "SUCCESS",
    "type": "chirp-crow",
    "operationType": "underpainting",
    "errorCode": None,
    "errorMessage": None,
    "createTime": 1735689600000,
}
CALLBACK: dict[str, Any] = {
    "callbackType": "complete",
    "task_id": "t1",
    "data": [{"id": "a1", "audio_url": "https://cdn.example/a1.mp3", "duration": 181.2}],
}


def envelope(data: object, code: object = 200, **more: object) -> dict[str, Any]:
    """Put data into the service's envelope."""
    return {"code": code, "msg": "success", "data": data, **more}


# what was seen of the service, its gateways and their frameworks
SEEN: list[Any] = [
    envelope({"taskId": "t1"}),
    envelope({"task": {"taskId": "t1"}}, 202),
    {"data": {"taskId": "t1"}},
    {"taskId": "t1"},
    envelope(None, 422, msg="recordInfo is null"),
    envelope(None, "429", msg="Your balance is not enough"),
    {"code": 14, "message": "upstream connect error"},
    {"detail": [{"loc": ["body", "title"], "msg": "too long"}]},
    {"title": "Bad Gateway", "status": 502},
    envelope(RECORD),
    envelope({**RECORD, "response": RECORD["response"]["sunoData"]}),
    envelope({**RECORD, "response": json.dumps(RECORD["response"])}),
    envelope({**RECORD, "response": {"data": json.dumps([TRACK])}}),
    envelope({**RECORD, "status": "PENDING", "response": None, "errorCode": "531"}),
    envelope({**RECORD, "status": None, "response": {"errorMessage": "no melody found"}}),
    envelope(100),
    envelope({"credits": 99.5}),
    envelope({"downloadUrl": "https://files.example/x.wav", "fileSize": 7}, success=True),
    envelope(CALLBACK),
    envelope(json.dumps(CALLBACK)),
    envelope({"callbackType": "error", "task_id": "t1", "data": None}, 451),
]


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]", core: bytes = b"") -> Raw:
    """Put lists or objects into one another."""
    return Raw(opening * levels + core + closing * levels)


def _in_strings(levels: int) -> str:
    """Put JSON into a JSON string, again and again."""
    text = '{"taskId": "t1"}'
    for _ in range(levels):
        text = json.dumps(text)
    return text


DEPTHS = (2, 99, 101, 254, 255, 500, 900, 980, 1000, 1023, 1025, 5_000)
ODD: list[object] = [
    *map(
        Raw,
        [
            *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"-0", b"-0.0"),
            *(b"9" * 400, b"-" + b"9" * 4_300, b"9" * 10_000, b"0." + b"1" * 10_000),
            *(b"1" + b"0" * 4_299 + b"e-4300", b"1e99999999999", b"007", b"1_0", b"+1", b".5"),
            *(
                b'"\\ud800"',
                b'"\\udfff\\ud800"',
                b'"\\ud83d\\ude00"',
                b'"\xff\xfe"',
                b'"\xed\xa0\x80"',
            ),
            *(
                b'"\x00"',
                b'"\x1b[2J\r\n"',
                b'"\\u0000\\u001b"',
                b'"\\',
                b'"',
                b"nul",
                b"{,}",
                b"[,]",
            ),
            *(b"{" + b'"a":1,' * 3 + b'"a":2}', b'{"taskId":"x","taskId":null}', b'{"":{"":{}}}'),
        ],
    ),
    *(nested(depth) for depth in DEPTHS),
    *(nested(depth, b'{"a":', b"}", b"1") for depth in DEPTHS),
    *(nested(depth, b'[{"data":', b"}]", b"1") for depth in (99, 400, 600)),
    Raw(b"[" * 100_000),
    *(None, True, False, 0, 1, -1, 200, 1e300, 2**63, -(2**63), 2**64, 253402300800000, -1e18),
    *(
        "",
        " ",
        "\n",
        "200",
        "0",
        "nan",
        "1e400",
        "9" * 5_000,
        "\u0000",
        "\u2028",
        "\u202e",
        "é" * 9,
    ),
    *("FAILED", "success ", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "٣", "²"),
    *(
        "x" * 3_000,
        '{"taskId": "t9"}',
        "[" * 3_000,
        '"' * 99,
        "null",
        _in_strings(1),
        _in_strings(5),
    ),
    *([], {}, [[]], [{}], [None], {"taskId": {}}, {"data": {"data": {"data": {}}}}, [[TRACK]]),
]
NAMES = [*TRACK, *RECORD, *CALLBACK, "task_id", "code", "msg", "suno_data", "sunoData", "new", ""]

trees = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=9) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)


def changed(tree: Any, path: list[int], new: object) -> Any:
    """Put something at a place in a tree, or beside what is there."""
    if not path or not isinstance(tree, dict | list) or not tree:
        return new
    if isinstance(tree, list):
        at = path[0] % len(tree)
        return [*tree[:at], changed(tree[at], path[1:], new), *tree[at + 1 :]]
    name = list(tree)[path[0] % len(tree)]
    return {**tree, name: changed(tree[name], path[1:], new)}


def written(tree: object, twice: str = "") -> bytes:
    """Write a tree as JSON, raw pieces as they are, and one name wherever it stands twice."""
    if isinstance(tree, Raw):
        return bytes(tree)
    if isinstance(tree, list):
        return b"[" + b",".join(written(item, twice) for item in tree) + b"]"
    if isinstance(tree, dict):
        pairs = [json.dumps(name).encode() + b":" + written(tree[name], twice) for name in tree]
        if twice in tree:
            pairs.append(json.dumps(twice).encode() + b":null")
        return b"{" + b",".join(pairs) + b"}"
    return json.dumps(tree).encode()


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Make a body of one that was seen."""
    tree = draw(st.sampled_from(SEEN))
    places = st.lists(st.integers(0, 15), min_size=1, max_size=5)
    for path, new in draw(st.lists(st.tuples(places, trees), max_size=3)):
        tree = changed(tree, path, new)
    text = bytearray(written(tree, draw(st.sampled_from(["-", *NAMES]))))
    for at, piece, length in draw(
        st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 9)), max_size=2)
    ):
        begin = int(at * len(text))
        text[begin : begin + length] = piece
    return bytes(text)


bodies = documents() | trees.map(written) | st.binary(max_size=200)
