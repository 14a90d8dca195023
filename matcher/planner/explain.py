"""Reasons: the sentence behind each step of a plan, in plain words and numbers."""

from __future__ import annotations

import numpy as np

from matcher.aims import Aims
from matcher.planner.density import NAMES, Density
from matcher.planner.gaussian import Array, Estimate
from matcher.planner.width import WidthEstimate, has_side
from matcher.profile import Profile
from matcher.reference import Reference

REGIONS = (("sub bass", 20, 60), ("bass", 60, 200), ("low mids", 200, 800), ("mids", 800, 3000),
           ("presence", 3000, 8000), ("air", 8000, 20_000))


def tone(believed: Estimate, made_db: Array) -> str:
    """Per region: what was measured, how much is believed, how sure."""
    parts = []
    for name, low, high in REGIONS:
        inside = believed.heard & (believed.frequency_hz >= low) & (believed.frequency_hz < high)
        if inside.any() and abs(made_db[inside].mean()) >= 0.2:
            parts.append(
                f"{name} {made_db[inside].mean():+.1f} dB (differs by {believed.difference_db[inside].mean():+.1f},"
                f" sure to ±{believed.sd_db[inside].mean():.1f})"
            )
    return "The reference's balance, as far as it is taken for mastering: " + ("; ".join(parts) or "small moves") + "."


def width(sides: WidthEstimate, made_db: Array) -> str:
    """What was measured of the side, and what is done."""
    heard = sides.side.heard
    words = (
        f"The reference's side is {sides.side.difference_db[heard].mean():+.1f} dB against its mid compared with the"
        f" target's; {made_db[heard].mean():+.1f} dB of it is taken for mastering"
    )
    if sides.focus_below_hz:
        words += f". Its low end is gathered in the centre below about {sides.focus_below_hz:.0f} Hz"
    return words + "."


def dynamics(judged: Density, made_db: Array) -> str:
    """Per figure: both tracks, and what is asked."""
    parts = [
        f"{name} {here:.1f} dB here, {there:.1f} there, {change:+.1f} wanted"
        for name, here, there, change in zip(NAMES, judged.target_db, judged.reference_db, made_db, strict=True)
        if change <= -0.3
    ]
    return "The reference is denser: " + "; ".join(parts) + "."


def loudness(target: Profile, aims: Aims, goal_lufs: float) -> str:
    """From where to where."""
    whose = "asked for" if aims.loudness_lufs is not None else "the reference's"
    return f"From {target.integrated_lufs:.1f} to {goal_lufs:.1f} LUFS, {whose}, together with the limiter."


def limiter(target: Profile, aims: Aims, ceiling_dbtp: float, reduction_p95_db: float, *, alone: bool) -> str:
    """Why the limiter is there and what it costs."""
    if alone:
        peak = f"{target.true_peak_dbtp:+.2f} dBTP"
        return f"The target's true peak of {peak} is above the ceiling of {aims.ceiling_dbtp:g}."
    where = f"No true peak above {aims.ceiling_dbtp:g} dBTP"
    if ceiling_dbtp < aims.ceiling_dbtp - 0.05:
        where = f"The reference's peaks stand no higher above its loudness: ceiling at {ceiling_dbtp:.1f} dBTP"
    return f"{where}. It reduces by less than {reduction_p95_db:.1f} dB for 95 % of the time."


def remarks(
    target: Profile,
    reference: Reference,
    aims: Aims,
    goal_lufs: float,
    held_back: str,
    judged: Density,
) -> tuple[str, ...]:
    """What was left alone or could not be reached, and why."""
    found = []
    if target.channels == 1:
        found.append("The target is mono and stays mono: width was left out.")
    elif not has_side(target):
        found.append("The target is all but mono: there is no side signal to widen, so width was left out.")
    if held_back == "limiting":
        found.append(
            f"The loudness of {goal_lufs:.1f} LUFS was not reached: it would take more than {aims.max_limiting_db:g} dB"
            " of limiting, the cap (max_limiting_db)."
        )
    if held_back == "ceiling":
        found.append(
            f"The loudness of {goal_lufs:.1f} LUFS was not reached: without a limiter the peaks would pass the"
            f" ceiling of {aims.ceiling_dbtp:g} dBTP."
        )
    looser = [name for name, change in zip(NAMES[:4], judged.believed_db[:4], strict=True) if change > 1.0]
    if looser:
        found.append(
            f"The reference is more dynamic than the target ({', '.join(looser)}): what was compressed away before"
            " cannot be put back, and is not faked."
        )
    if target.bandwidth_hz < 0.45 * target.sample_rate_hz:
        found.append(f"The target has nothing above {target.bandwidth_hz / 1000:.1f} kHz; nothing is boosted there.")
    for profile in reference.tracks:
        if profile.bandwidth_hz < min(0.45 * profile.sample_rate_hz, 16_000.0):
            found.append(f"{profile.name} has nothing above {profile.bandwidth_hz / 1000:.1f} kHz (a lossy file?).")
    if np.isclose(aims.amount, 0.0):
        found.append("amount is 0: nothing was asked for.")
    return tuple(found)
