"""Audio that is not there yet in the moments after its task became complete."""

from pathlib import Path

from suno_async.sandbox import Call, HttpError
from tests.world import World, song


async def test_a_file_that_is_late_is_waited_for(world: World, tmp_path: Path) -> None:
    """What the session saw become complete is asked for again while its host says 404."""
    async with world.session() as suno:
        details = await world.run(suno.generate(song()))
        world.sandbox.inject(Call.MEDIA, HttpError(404), times=3)
        path = await world.run(suno.download(details.tracks[0], tmp_path))
    assert path.stat().st_size > 0
