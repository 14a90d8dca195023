"""Presets: learned from features alone, joined, written, read, and compared."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsp.errors import FileError, PresetError, SettingsError, UnfitError
from matcher import priors
from matcher.features import Features
from matcher.preset_choosing import rank
from matcher.preset_learning import learn
from matcher.preset_store import every, find, paths
from matcher.preset_sums import joined, learn_many
from matcher.preset_words import apart, sentence
from matcher.presets import Preset, read_preset

Invented = Callable[..., list[Features]]


def same(one: Preset, other: Preset) -> bool:
    """But for the minute of making."""
    return msgspec.structs.replace(one, made_at="") == msgspec.structs.replace(other, made_at="")


class TestLearning:
    """A centre and how far the tracks lie around it."""

    def test_finds_the_centre(self, invented: Invented) -> None:
        """Of many tracks it is their mean, and the deviation theirs."""
        tracks = invented(15)
        made = learn(tracks, "kind")
        inside = [t for t in tracks if t.content_hash not in made.left_out]
        (style,) = made.styles
        assert style.tracks == len(inside)
        lufs = [t.integrated_lufs for t in inside]
        assert style.centre.integrated_lufs == pytest.approx(np.mean(lufs), abs=1e-3)
        assert style.figures["integrated_lufs"] == pytest.approx(np.std(lufs, ddof=1), abs=1e-3)
        mean = np.mean([t.balance_db() for t in inside], axis=0)[:-1]  # none reaches the last band
        assert style.centre.balance_db()[:-1] == pytest.approx(mean, abs=1e-3)

    def test_order_does_not_matter(self, invented: Invented) -> None:
        """Nor how often a track comes."""
        tracks = invented(9)
        shuffled = [*tracks, *tracks[:3]]
        random.Random(1).shuffle(shuffled)
        assert same(learn(tracks, "kind"), learn(shuffled, "kind"))

    def test_leaves_out_what_is_unlike_the_others(self, invented: Invented) -> None:
        """One bright and quiet piece among dark and loud ones has no say, and is named."""
        odd = invented(1, seed=9, tilt_db_oct=4.0, lufs=-40.0)
        made = learn([*invented(8), *odd], "kind")
        assert made.names_left_out == [odd[0].name]
        assert made.count == 8
        assert odd[0] in made.tracks

    def test_finds_two_styles(self, invented: Invented) -> None:
        """Of a corpus of two kinds; a track is nearest to its own."""
        dark, bright = invented(16, seed=1, tilt_db_oct=-6.0, lufs=-9.0), invented(12, seed=2, tilt_db_oct=-1.0)
        made = learn([*dark, *bright], "both")
        assert len(made.styles) == 2
        assert all(style.title for style in made.styles)
        for track, brighter in ((dark[0], False), (bright[0], True)):
            (nearest,) = rank(track, [made])
            assert (nearest.style.centre.tilt_db_oct > -3.5) == brighter

    def test_one_kind_is_one_style(self, invented: Invented) -> None:
        """However many tracks there are."""
        assert len(learn(invented(40), "kind").styles) == 1

    def test_refuses_too_few(self, invented: Invented) -> None:
        """Two tracks say nothing of a kind."""
        with pytest.raises(UnfitError, match=r"kind: 2 tracks are too few"):
            learn(invented(2), "kind")


class TestJoining:
    """A union by content."""

    def test_is_learning_at_once(self, invented: Invented) -> None:
        """Bit for bit, tracks that both have among them."""
        tracks = invented(12)
        one, other = learn(tracks[:7], "a"), learn(tracks[5:], "b")
        at_once = learn(tracks, "kind")
        assert same(joined([one, other], list, "kind"), at_once)
        assert same(joined([one], lambda: tracks[7:], "kind"), at_once)
        assert same(joined([other, one], list, "kind"), at_once)

    def test_keeps_where_they_come_from(self, invented: Invented) -> None:
        """Sources and licences of both, unless told."""
        tracks = invented(8)
        one = learn(tracks[:4], "a", source="here", licence="CC0")
        other = learn(tracks[4:], "b", source="there", licence="CC0")
        both = joined([one, other], list, "kind")
        assert (both.source, both.licence) == ("here; there", "CC0")
        assert joined([one, other], list, "kind", source="mine").source == "mine"


class TestSums:
    """What is kept of very many tracks."""

    @pytest.fixture(autouse=True)
    def few_are_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sums from the 21st track on."""
        monkeypatch.setattr("matcher.preset_sums.MOST_KEPT", 20)

    def test_no_order_changes_them(self, invented: Invented) -> None:
        """The same preset, bit for bit, and no track is in it."""
        tracks = invented(60)
        shuffled = [*tracks]
        random.Random(2).shuffle(shuffled)
        made = learn_many(lambda: tracks, "kind")
        assert made.sums is not None
        assert made.tracks == ()
        assert made.minutes == pytest.approx(sum(t.duration_s for t in tracks) / 60.0, abs=0.1)
        assert same(made, learn_many(lambda: shuffled, "kind"))

    def test_are_near_what_the_tracks_give(self, invented: Invented, monkeypatch: pytest.MonkeyPatch) -> None:
        """Centre and deviations as from the features themselves."""
        tracks = invented(200)
        summed = learn_many(lambda: tracks, "kind")
        monkeypatch.setattr("matcher.preset_sums.MOST_KEPT", 1000)
        kept = learn_many(lambda: tracks, "kind")
        assert kept.sums is None
        (one,), (other,) = summed.styles, kept.styles
        assert one.centre.balance_db()[:-1] == pytest.approx(other.centre.balance_db()[:-1], abs=0.2)
        assert one.figures["integrated_lufs"] == pytest.approx(other.figures["integrated_lufs"], rel=0.1)
        assert np.diag(one.tone) == pytest.approx(np.diag(other.tone), rel=0.2)

    def test_adding_tracks_passes_over_known_ones(self, invented: Invented) -> None:
        """To add is to learn at once, as long as the first estimate is the same."""
        tracks = sorted(invented(60), key=lambda t: t.content_hash)
        first = learn_many(lambda: tracks[:40], "kind")
        assert same(joined([first], lambda: tracks[20:], "kind"), learn_many(lambda: tracks, "kind"))

    def test_refuses_what_cannot_be_told_apart(self, invented: Invented) -> None:
        """Sums about different estimates, or of the same tracks."""
        one, other = learn_many(lambda: invented(30), "a"), learn_many(lambda: invented(30, seed=2), "b")
        with pytest.raises(PresetError, match="a and b: hold sums about different first estimates"):
            joined([one, other], list, "kind")
        with pytest.raises(PresetError, match="a and a: share 30 tracks"):
            joined([one, one], list, "kind")

    def test_survive_their_file(self, invented: Invented) -> None:
        """Sums larger than a float holds exactly come back exactly."""
        made = learn_many(lambda: invented(30), "kind")
        assert Preset.from_json(made.to_json()) == made


class TestFile:
    """JSON that can do nothing but be a preset."""

    def test_comes_back(self, invented: Invented, tmp_path: Path) -> None:
        """What was written is read."""
        made = learn(invented(5), "kind", source="here", licence="CC0")
        (tmp_path / "kind.json").write_bytes(made.to_json())
        assert read_preset(tmp_path / "kind.json") == made
        assert made.content_hash == read_preset(tmp_path / "kind.json").content_hash

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"format": "match-plan"}, 'no "format": "match-preset"'),
            ({"version": 2}, "version: 2 is not a whole number from 1 to 1"),
            ({"version": True}, "version: True"),
            ({"name": ""}, "name"),
            ({"name": "../../x"}, "name"),
            ({"styles": []}, "styles"),
            ({"extra": 1}, "extra"),
            ({"tracks": [{}]}, "tracks"),
        ],
    )
    def test_names_the_field(self, invented: Invented, change: dict, said: str) -> None:
        """One line with what is wrong."""
        data = json.loads(learn(invented(5), "kind").to_json()) | change
        with pytest.raises(PresetError, match=said) as caught:
            Preset.from_json(json.dumps(data))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "bad", [[[1.0]], [[0.0] * 30] * 29, [[-1.0] * 30] * 30, [[1e9] * 30] * 30, [["x"] * 30] * 30]
    )
    def test_refuses_what_is_no_covariance(self, invented: Invented, bad: list) -> None:
        """A wrong shape, a negative one, one out of all bounds."""
        data = json.loads(learn(invented(5), "kind").to_json())
        data["styles"][0]["tone"] = bad
        with pytest.raises(PresetError, match="tone"):
            Preset.from_json(json.dumps(data))

    @pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"format": "match-preset"}', "\x00"])
    def test_refuses_what_is_no_preset(self, text: str) -> None:
        """Whatever it is instead."""
        with pytest.raises(PresetError):
            Preset.from_json(text)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_survives_any_change(self, invented: Invented, data: st.DataObject) -> None:
        """Bytes changed anywhere give a preset or a refusal, nothing else."""
        text = bytearray(learn(invented(4), "kind").to_json())
        for place in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=5)):
            text[place] = data.draw(st.integers(0, 255))
        with contextlib.suppress(PresetError):
            Preset.from_json(bytes(text))

    def test_an_absent_file(self, tmp_path: Path) -> None:
        """Is named."""
        with pytest.raises(FileError, match=r"none\.json: cannot be read"):
            read_preset(tmp_path / "none.json")

    def test_a_name_is_no_path(self) -> None:
        """It becomes a file's name, and leads nowhere else."""
        from matcher.presets import checked_name

        assert checked_name("Lo-Fi 2024, ö") == "Lo-Fi 2024, ö"
        for name in ("", "a/b", "..", ".hidden", "a\nb", "x" * 81, "a\\b"):
            with pytest.raises(SettingsError, match="name"):
                checked_name(name)


class TestShipped:
    """What stands in `references/`."""

    def test_are_sound(self) -> None:
        """Six, each of five tracks or more, with where they come from, their licence, and no path in them."""
        stored = every()
        assert len(stored) == 6
        for each in stored:
            assert each.preset.count >= 5
            assert each.preset.name == each.path.stem
            assert each.preset.source
            assert each.preset.licence
            assert all("/" not in track.name for track in each.preset.tracks)

    def test_are_what_their_tracks_give(self) -> None:
        """Learning from the features they keep gives them again."""
        for each in every():
            preset = each.preset
            again = learn(preset.tracks, preset.name, source=preset.source, licence=preset.licence)
            for one, other in zip(again.styles, preset.styles, strict=True):
                assert one.centre.balance_db() == pytest.approx(other.centre.balance_db(), abs=1e-6)
                assert np.array(one.tone) == pytest.approx(np.array(other.tone), abs=1e-3)

    def test_most_tracks_left_out_find_their_own(self) -> None:
        """Each track against presets learned without it: far more often its own than the one in six of chance."""
        presets = [each.preset for each in every()]
        right = []
        for own in presets:
            for track in own.tracks:
                others = [t for t in own.tracks if t is not track]
                against = [learn(others, p.name) if p is own else p for p in presets]
                right.append(rank(track, against)[0].preset.name == own.name)
        assert np.mean(right) >= 0.65

    def test_the_users_own_come_first(self, invented: Invented, own_cache: Path) -> None:
        """A preset of the same name in the user's folder is the one that is meant."""
        (own_cache / "presets").mkdir()
        (own_cache / "presets" / "folk.json").write_bytes(learn(invented(5), "folk").to_json())
        assert find("folk").path.parent == own_cache / "presets"
        assert find("metal").path.parent == priors.folder()
        assert "prior" not in paths()

    def test_an_unknown_one(self) -> None:
        """Those that are there are named."""
        with pytest.raises(PresetError, match=r"preset polka: there is none of this name; there are chiptune, .*metal"):
            find("polka")


class TestComparing:
    """In words."""

    def test_says_what_differs(self, invented: Invented) -> None:
        """The clear differences, in deviations, one way and the other."""
        dark, bright = learn(invented(8, tilt_db_oct=-6.0, lufs=-9.0), "dark"), learn(invented(8, seed=2), "bright")
        rows = {row.name: row for row in apart(dark, bright)}
        assert rows["loudness"].deviations > 2.0
        assert rows["treble"].deviations < 0.0
        said = sentence(dark, bright, list(rows.values()))
        assert said.startswith("dark is ")
        assert "louder" in said
        assert "quieter" in sentence(bright, dark, apart(bright, dark))

    def test_says_when_nothing_does(self, invented: Invented) -> None:
        """A preset beside itself."""
        one = learn(invented(8), "one")
        assert sentence(one, one, apart(one, one)) == "one and one differ by less than their own tracks do."
