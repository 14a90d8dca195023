"""Chain: order, blocks, what waits between processors, and settings from JSON."""

from typing import Annotated, ClassVar

import numpy as np
import pytest
from msgspec import Meta

from dsp.audio import Audio, Samples
from dsp.chain import Chain, ChainProcessor, blocks_of, effects, settings_from
from dsp.effect import Bounded, Processor, empty_like
from dsp.effects.eq import Band, Eq
from dsp.effects.gain import Gain
from dsp.errors import SettingsError

RATE_HZ = 44_100


def noise(channels: int = 2, length: int = 10_000) -> Audio:
    """Seeded noise."""
    return Audio(np.random.default_rng(440).normal(size=(channels, length)), RATE_HZ)


class Holding(Processor):
    """Holds samples back, and reports its name when it first gets some: a probe for the chain."""

    def __init__(self, name: str, hold: int, log: list[str]) -> None:
        self.name, self.hold, self.log = name, hold, log
        self.held: Samples | None = None

    def process(self, block: Samples) -> Samples:
        if self.held is None:
            self.log.append(self.name)
        self.held = block if self.held is None else np.concatenate([self.held, block], axis=1)
        ready = max(0, self.held.shape[1] - self.hold)
        out, self.held = self.held[:, :ready], self.held[:, ready:]
        return out if ready else empty_like(block)

    def finish(self) -> Samples | None:
        return self.held

    def measured(self) -> dict[str, int]:
        return {self.name: self.hold}


@pytest.mark.parametrize("holds", [(0, 0), (100, 0), (0, 100), (300, 7000), (20_000, 20_000)])
@pytest.mark.parametrize("block", [1_000, 4_096, 30_000])
def test_what_is_held_back_still_goes_through_the_rest(holds: tuple[int, int], block: int) -> None:
    """The tail of one processor passes the next one, and all samples come out once, in order."""
    log: list[str] = []
    run = ChainProcessor([Holding("first", holds[0], log), Holding("second", holds[1], log)])
    samples = noise().samples
    parts = [run.process(part) for part in blocks_of(samples, block)]
    tail = run.finish()
    assert tail is not None
    assert np.array_equal(np.concatenate([*parts, tail], axis=1), samples)
    assert log == ["first", "second"]
    assert run.measured() == {"first": holds[0], "second": holds[1]}


def test_order_counts() -> None:
    """Steps run in the order they stand in."""

    class Squared(Processor):
        def process(self, block: Samples) -> Samples:
            return block**2

    class Doubled(Processor):
        def process(self, block: Samples) -> Samples:
            return 2 * block

    block = np.array([[3.0]])
    assert ChainProcessor([Squared(), Doubled()]).process(block) == 18.0
    assert ChainProcessor([Doubled(), Squared()]).process(block) == 36.0


def test_gains_add_up() -> None:
    """Two steps of 6 dB are one of 12."""
    twice = Chain((Gain(gain_db=6.0), Gain(gain_db=6.0)))(noise())
    assert np.allclose(twice.samples, Chain((Gain(gain_db=12.0),))(noise()).samples, rtol=1e-12)


@pytest.mark.parametrize("steps", [(), (Gain(), Eq()), (Eq(bands=(Band(gain_db=0.0),)),)])
def test_nothing_to_do_is_nothing_done(steps: tuple) -> None:
    """No steps, or neutral ones, give the samples back bit for bit."""
    chain = Chain(steps)
    assert chain.active() == ()
    assert np.array_equal(chain(noise()).samples, noise().samples)


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537])
def test_length_stays(length: int) -> None:
    """Any length comes out as long as it went in, none at all included."""
    chain = Chain((Eq(bands=(Band(gain_db=3.0),), phase="linear"), Gain(gain_db=1.0)))
    assert chain(noise(length=length)).samples.shape == (2, length)


def test_a_chain_can_run_again() -> None:
    """Each run starts afresh: no state of the last file is left in the next."""
    chain = Chain((Eq(bands=(Band(gain_db=6.0, frequency_hz=60.0),)),))
    first = chain(noise())
    chain(Audio(50.0 * noise().samples, RATE_HZ))
    assert np.array_equal(chain(noise()).samples, first.samples)


def test_blocks_cover_everything_once() -> None:
    """Blocks are contiguous, in order, and the last one is what is left."""
    samples = noise(length=2_500).samples
    blocks = list(blocks_of(samples, 1_000))
    assert [block.shape[1] for block in blocks] == [1_000, 1_000, 500]
    assert all(block.flags.c_contiguous for block in blocks)
    assert np.array_equal(np.concatenate(blocks, axis=1), samples)


def test_effects_are_files() -> None:
    """What is known is what there is a file for, in alphabetical order."""
    names = list(effects())
    assert names == sorted(names)
    assert {"eq", "gain", "highpass", "width"} <= set(names)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"effect": "reverb"}, "effect: 'reverb' is not known, allowed are .*gain"),
        ({"gain_db": 1.0}, "effect: None is not known"),
        ("gain", "effect: None is not known"),
        ({"effect": ["gain"]}, r"effect: \['gain'\]|effect: None"),
        ({"effect": "gain", "gain_db": 61.0}, "gain_db.*61"),
        ({"effect": "gain", "gain_db": "loud"}, "gain_db.*'loud'"),
        ({"effect": "gain", "gain": 1.0}, "gain"),
        ({"effect": "eq", "bands": [{"gain_db": 1.0}, {"q": 99.0}]}, r"bands\[1\]\.q.*99"),
    ],
)
def test_bad_settings_are_named(data: object, message: str) -> None:
    """What is wrong in JSON is named with its place and value, on one line."""
    with pytest.raises(SettingsError, match=message) as caught:
        settings_from(data)
    assert "\n" not in str(caught.value)


def test_settings_come_from_json() -> None:
    """Plain data becomes the effect's own class, nested records and tuples too."""
    found = settings_from({"effect": "eq", "bands": [{"frequency_hz": 80, "gain_db": -2}], "phase": "linear"})
    assert found == Eq(bands=(Band(frequency_hz=80.0, gain_db=-2.0),), phase="linear")


def test_bounds_hold_in_the_constructor() -> None:
    """A bounded record refuses what its annotation forbids when built by hand, and takes None where allowed."""
    class Probe(Bounded, frozen=True, kw_only=True):
        level_db: Annotated[float, Meta(ge=-10.0, le=10.0)] | None = None
        note: ClassVar[str] = ""

    assert Probe().level_db is None
    assert Probe(level_db=-10).level_db == -10
    with pytest.raises(SettingsError, match=r"probe\.level_db: 10\.1 is not within -10 to 10"):
        Probe(level_db=10.1)
