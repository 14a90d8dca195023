"""What every effect keeps: parametrised over the files of `dsp/effects`, so a new one needs no word here.

An effect file may offer `EXAMPLES`, a tuple of non-neutral settings, where random draws seldom reach what matters.
"""

import functools
import importlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import inspect

from dsp.audio import Audio, Samples
from dsp.chain import Chain, effects, settings_from
from dsp.effect import Bounded, Settings
from dsp.errors import SettingsError

RATE_HZ = 44_100
PEAK_TOLERANCE_MS = 1.0
PRE_RINGING_MS = 5.0
PRE_RINGING_DB = -60.0
FLOAT32_DB = -60.0

NAMES = sorted(effects())
quick = functools.partial(
    hypothesis_settings, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


# Settings from nothing but their annotations.


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values that an annotation allows, its bounds more often than chance would have it."""
    match kind:
        case inspect.FloatType(ge=low, le=high) if low is not None and high is not None:
            return st.floats(low, high) | st.sampled_from([float(low), float(high)])
        case inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return st.integers(low, high)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.UnionType(types=types):
            return st.one_of([values_of(t) for t in types])
        case inspect.VarTupleType(item_type=item):
            # Sorted by their first number, since points have to rise and would seldom do so by chance.
            return st.lists(values_of(item), max_size=3).map(lambda found: tuple(sorted(found, key=_first_number)))
        case inspect.TupleType(item_types=items):
            return st.tuples(*[values_of(item) for item in items])
        case inspect.StructType(cls=cls):
            return settings_of(cls)
    raise TypeError(f"{kind} has no bounds, or is no kind that settings are made of")


def _first_number(item: Any) -> float:
    if isinstance(item, msgspec.Struct):
        numbers = [v for v in msgspec.structs.astuple(item) if isinstance(v, int | float)]
        return numbers[0] if numbers else 0.0
    return item if isinstance(item, int | float) else 0.0


@st.composite
def settings_of(draw: st.DrawFn, cls: type[Bounded]) -> Bounded:
    """Instances of a settings class or of a record inside one; draws that it refuses are drawn again."""
    fields = {field.encode_name: draw(values_of(field.type)) for field in fields_of(cls)}
    try:
        return cls(**fields)
    except SettingsError:
        reject()


def fields_of(cls: type[Bounded]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info.fields


def records_of(cls: type[Bounded]) -> list[type[Bounded]]:
    """The class itself and every record inside it."""
    found = [cls]

    def look(kind: inspect.Type) -> None:
        match kind:
            case inspect.StructType(cls=inner) if inner not in found:
                found.append(inner)
                for field in fields_of(inner):
                    look(field.type)
            case inspect.VarTupleType(item_type=item):
                look(item)
            case inspect.UnionType(types=items) | inspect.TupleType(item_types=items):
                for item in items:
                    look(item)

    for field in fields_of(cls):
        look(field.type)
    return found


def drawn(cls: type[Bounded], count: int) -> list[Any]:
    """The same `count` draws every time."""
    found = []

    @quick(max_examples=count, phases=[Phase.generate])
    @given(settings_of(cls))
    def collect(settings: Bounded) -> None:
        found.append(settings)

    collect()
    return found


@functools.cache
def examples_of(name: str) -> tuple[Settings, ...]:
    """The effect's own examples, or else the first random settings that are heard."""
    cls = effects()[name]
    own = getattr(importlib.import_module(cls.__module__), "EXAMPLES", ())
    heard = (s for s in drawn(cls, 40) if not s.is_neutral() and not np.array_equal(run(s, sound()), sound()))
    return tuple(own) or tuple(itertools.islice(heard, 4))


# Sound that gives every effect something to do.


@functools.cache
def sound(channels: int = 2, seconds: float = 0.4, sample_rate_hz: int = RATE_HZ) -> Samples:
    """Hits over a low tone and noise, above full scale and down to silence; channels differ; exact in float32."""
    rng = np.random.default_rng(440)
    t = np.arange(int(seconds * sample_rate_hz)) / sample_rate_hz
    hits = np.exp(-((t % 0.11) / 0.03)) * rng.normal(size=(channels, len(t)))
    tone = np.sin(2 * np.pi * 70.0 * t) + 0.5 * np.sin(2 * np.pi * 3100.0 * t + np.arange(channels)[:, None])
    samples = (0.35 * hits + 0.4 * tone) * np.where(t < 0.55 * t[-1], 1.0, 0.1) * (t < 0.9 * t[-1])
    samples = samples.astype(np.float32).astype(np.float64)
    samples.flags.writeable = False
    return samples


def run(settings: Settings, samples: Samples, cuts: tuple[int, ...] = (), sample_rate_hz: int = RATE_HZ) -> Samples:
    """`samples` through a processor in blocks of the lengths given, then the rest in one."""
    processor = settings.processor(sample_rate_hz, samples.shape[0])
    parts, start = [], 0
    for length in (*cuts, samples.shape[1]):
        parts.append(processor.process(np.ascontiguousarray(samples[:, start : start + length])))
        start = min(start + length, samples.shape[1])
    tail = processor.finish()
    return np.concatenate(parts if tail is None else [*parts, tail], axis=1)


EXAMPLES = [
    pytest.param(settings, id=f"{name}-{n}") for name in NAMES for n, settings in enumerate(examples_of(name))
]


# What must hold for any settings.


def keeps_shape_and_kind(settings: Settings) -> None:
    for channels in (1, 2):
        for kind in (np.float32, np.float64):
            samples = sound(channels).astype(kind)
            out = run(settings, samples)
            assert (out.shape, out.dtype) == (samples.shape, samples.dtype)


def stays_finite(settings: Settings) -> None:
    for kind in (np.float32, np.float64):
        for samples in (sound(), 8.0 * sound(), 0.0 * sound()):
            assert np.isfinite(run(settings, samples.astype(kind))).all()


def leaves_the_input_alone(settings: Settings) -> None:
    for kind in (np.float32, np.float64):
        samples = sound().astype(kind)
        run(settings, samples)
        assert np.array_equal(samples, sound().astype(kind))


def repeats_itself(settings: Settings) -> None:
    assert np.array_equal(run(settings, sound()), run(settings, sound()))


def works_at_other_rates(settings: Settings) -> None:
    for rate_hz in (48_000, 96_000):
        samples = sound(sample_rate_hz=rate_hz)
        out = run(settings, samples, sample_rate_hz=rate_hz)
        assert out.shape == samples.shape
        assert np.isfinite(out).all()


def takes_the_shortest_files(settings: Settings) -> None:
    for length in (0, 1, 37):
        out = Chain((settings,))(Audio(sound()[:, :length], RATE_HZ))
        assert out.samples.shape == (2, length)


CHECKS = [
    keeps_shape_and_kind,
    stays_finite,
    leaves_the_input_alone,
    repeats_itself,
    works_at_other_rates,
    takes_the_shortest_files,
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("settings", EXAMPLES)
def test_holds_for_the_examples(settings: Settings, check: Callable[[Settings], None]) -> None:
    """An effect's own examples keep shape, kind, input and repeatability."""
    check(settings)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_holds_for_any_settings(name: str, check: Callable[[Settings], None]) -> None:
    """Settings drawn from the annotations alone keep them as well."""

    @quick(max_examples=5)
    @given(settings_of(effects()[name]))
    def holds(settings: Settings) -> None:
        check(settings)

    holds()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("settings", EXAMPLES)
def test_samples_do_not_depend_on_blocks(settings: Settings, kind: type) -> None:
    """Blocks of any length, none and one sample included, give bit for bit the same samples."""
    samples = sound(seconds=0.8).astype(kind)
    whole = run(settings, samples)
    assert np.array_equal(Chain((settings,))(Audio(samples, RATE_HZ), block_samples=4096).samples, whole)

    @quick(max_examples=5)
    @given(st.lists(st.integers(0, 4096), min_size=1, max_size=25))
    def same(cuts: list[int]) -> None:
        assert np.array_equal(run(settings, samples, tuple(cuts)), whole)

    same()


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_depend_on_blocks_for_any_settings(name: str) -> None:
    """Nor do they for settings drawn from the annotations."""

    @quick(max_examples=5)
    @given(settings_of(effects()[name]), st.lists(st.integers(0, 4096), min_size=1, max_size=10))
    def same(settings: Settings, cuts: list[int]) -> None:
        for channels in (1, 2):
            assert np.array_equal(run(settings, sound(channels), tuple(cuts)), run(settings, sound(channels)))

    same()


@pytest.mark.parametrize("name", NAMES)
def test_defaults_change_nothing(name: str) -> None:
    """The defaults are neutral, and a chain of them returns the samples bit for bit."""
    settings = effects()[name]()
    assert settings.is_neutral()
    for channels in (1, 2):
        audio = Audio(sound(channels), RATE_HZ)
        assert np.array_equal(Chain((settings, settings))(audio).samples, audio.samples)


@pytest.mark.parametrize("name", NAMES)
def test_has_examples(name: str) -> None:
    """Every effect has settings to show, its own or drawn ones."""
    assert examples_of(name)


@pytest.mark.parametrize("settings", EXAMPLES)
def test_examples_are_heard(settings: Settings) -> None:
    """Examples are not neutral and change a stereo sound, so that what they prove is not vacuous."""
    assert not settings.is_neutral()
    assert not np.array_equal(run(settings, sound()), sound())


@pytest.mark.parametrize("settings", EXAMPLES)
def test_single_precision_is_near_double(settings: Settings) -> None:
    """float32 in gives what float64 gives, as near as float32 allows."""
    exact = run(settings, sound())
    error = run(settings, sound().astype(np.float32)) - exact
    assert np.mean(error**2) <= 10 ** (FLOAT32_DB / 10) * np.mean(exact**2)


@pytest.mark.parametrize("where", [0, 5_000, 11_111])
@pytest.mark.parametrize("settings", EXAMPLES)
def test_nothing_is_late(settings: Settings, where: int) -> None:
    """An impulse comes out where it went in; what precedes it is the short ringing of linear phase at most."""
    impulse = np.zeros((2, 20_000))
    impulse[:, where] = (0.5, 0.3)
    # Against silence, for an effect may make noise of its own.
    energy = ((run(settings, impulse) - run(settings, 0.0 * impulse)) ** 2).sum(axis=0)
    assert abs(int(energy.argmax()) - where) <= PEAK_TOLERANCE_MS * 1e-3 * RATE_HZ
    early = energy[: max(0, where - int(PRE_RINGING_MS * 1e-3 * RATE_HZ))].sum()
    assert early <= 10 ** (PRE_RINGING_DB / 10) * energy.sum()


# Settings as data.


def alternatives(kind: inspect.Type, value: Any) -> Iterator[Any]:
    """Other values for a field."""
    match kind:
        case inspect.FloatType(ge=low, le=high) | inspect.IntType(ge=low, le=high):
            middle = math.sqrt(low * high) if low > 0 else (low + high) / 2
            near = min(high, 2 * value) if isinstance(value, int | float) else middle
            cast = float if isinstance(kind, inspect.FloatType) else round
            yield from (cast(v) for v in (near, high, low, middle))
        case inspect.BoolType():
            yield from (True, False)
        case inspect.NoneType():
            yield None
        case inspect.LiteralType(values=values):
            yield from values
        case inspect.UnionType(types=kinds):
            for each in kinds:
                yield from alternatives(each, value)
        case inspect.VarTupleType(item_type=item):
            yield value[:-1]
            for n, each in enumerate(value):
                yield from ((*value[:n], other, *value[n + 1 :]) for other in alternatives(item, each))
        case inspect.TupleType(item_types=kinds):
            for n, each in enumerate(kinds):
                yield from ((*value[:n], other, *value[n + 1 :]) for other in alternatives(each, value[n]))


def changes(record: Bounded) -> Iterator[tuple[tuple[type, str], Bounded]]:
    """Every other version of `record` that differs in one field, with the field's owner and name."""
    for field in fields_of(type(record)):
        value = getattr(record, field.name)
        for other in alternatives(field.type, value):
            yield from (((type(record), field.name), new) for new in _replaced(record, field.name, other))
        items = value if isinstance(value, tuple) else (value,)
        for n, item in enumerate(items):
            if isinstance(item, Bounded):
                for leaf, new_item in changes(item):
                    inner = (*items[:n], new_item, *items[n + 1 :]) if isinstance(value, tuple) else new_item
                    yield from ((leaf, new) for new in _replaced(record, field.name, inner))


def _replaced(record: Bounded, name: str, value: Any) -> Iterator[Bounded]:
    """`record` with another value, unless it is the same or refused."""
    if value != getattr(record, name):
        try:
            yield msgspec.structs.replace(record, **{name: value})
        except SettingsError:
            return


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_heard(name: str) -> None:
    """For each field there are two settings that differ in it alone and sound different."""
    cls = effects()[name]
    output = functools.cache(lambda settings: run(settings, sound()))
    silent = {(record, field.name) for record in records_of(cls) for field in fields_of(record)}
    for base in (*examples_of(name), *drawn(cls, 15)):
        for leaf, other in changes(base):
            if leaf in silent and not np.array_equal(output(base), output(other)):
                silent.discard(leaf)
    assert not silent, ", ".join(f"{owner.__name__}.{field}" for owner, field in silent)


@pytest.mark.parametrize("name", NAMES)
def test_json_round_trip(name: str) -> None:
    """Settings survive JSON, whatever they are."""

    @quick(max_examples=30)
    @given(settings_of(effects()[name]))
    def survives(settings: Settings) -> None:
        data = msgspec.json.decode(msgspec.json.encode(settings))
        assert data["effect"] == name
        assert settings_from(data) == settings
        assert settings_from(msgspec.to_builtins(settings)) == settings

    survives()


@pytest.mark.parametrize("name", NAMES)
def test_out_of_bounds_is_refused_by_name(name: str) -> None:
    """Every number has bounds; beyond them, or not finite, it is refused with the field's name."""
    for record in records_of(effects()[name]):
        valid = drawn(record, 1)[0]
        for field in fields_of(record):
            kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
            for kind in kinds:
                if not isinstance(kind, inspect.FloatType | inspect.IntType):
                    continue
                assert kind.ge is not None, field.name
                assert kind.le is not None, field.name
                for wrong in (kind.ge - 1, kind.le + 1, math.nan, math.inf, -math.inf, True, "1"):
                    with pytest.raises(SettingsError, match=rf"{record.__name__.lower()}\.{field.name}: "):
                        msgspec.structs.replace(valid, **{field.name: wrong})
                if record is effects()[name]:
                    data = {**msgspec.to_builtins(valid), field.name: kind.le + 1}
                    with pytest.raises(SettingsError, match=field.name):
                        settings_from(data)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_are_refused_by_name(name: str) -> None:
    """A misspelt field is refused, not dropped."""
    with pytest.raises(SettingsError, match="tresold_db"):
        settings_from({"effect": name, "tresold_db": 1.0})


@pytest.mark.parametrize("name", NAMES)
def test_amount_leads_from_nothing_to_all(name: str) -> None:
    """All of a move is the move itself, none of it is neutral; an effect that does not scale never does."""
    examples = examples_of(name)
    scales = any(settings.scaled(amount) != settings for settings in examples for amount in (0.0, 0.5))
    for settings in examples:
        assert settings.scaled(1.0) == settings
        assert settings.scaled(0.0).is_neutral() or not scales
        assert (settings.scaled(0.5) != settings) == scales
        assert not settings.scaled(0.5).is_neutral()


@pytest.mark.parametrize("name", NAMES)
def test_is_listed_with_a_title(name: str) -> None:
    """An effect says in a few words what it does, and its file, JSON name and class agree."""
    cls = effects()[name]
    assert cls.title
    assert len(cls.title.split()) <= 4
    assert cls.__module__ in (f"dsp.effects.{name}", f"dsp.restoration.{name}")
    assert cls.__name__.lower() == name
