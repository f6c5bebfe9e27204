"""Home of a data folder whose database was lost: the notice, and what its button brings back."""

import json
from collections.abc import Iterator

import pytest

from engines import registry
from engines.studio import Studio
from tests.conftest import Served, make_settings, served_app


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole app on a data folder with two sounds and a new database."""
    folder = tmp_path_factory.mktemp("lost")
    engines = folder / "engines.json"
    engines.write_text(json.dumps(["tests.fakes:Tone"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            for text in ("a lost sentence", "another lost sentence"):
                studio.make("tone", text=text)
        for path in (folder / "data").glob("studio.db*"):
            path.unlink()
        with Studio(make_settings(folder)) as studio, served_app(studio, whole=True) as served:
            yield served


def test_home_brings_back_the_clips_of_a_lost_database(page):
    notice = page.locator("#home-ways .notice")
    notice.wait_for()
    assert "holds 2 sounds, but the database knows no clip" in notice.inner_text()
    notice.get_by_role("button", name="Rebuild the clips").click()
    page.locator("#home-clips", has_text="another lost sentence").wait_for()
    notice.wait_for(state="detached")
    page.locator("#tab-jobs-button").click()
    page.locator("#tab-jobs", has_text="Rebuild clips from their files").wait_for()
