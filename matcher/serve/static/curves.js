// What an equalizer does, computed as dsp/effects/eq.py does: analogue prototypes, and curves straight over log frequency.

/** Gain of one band at a frequency, dB. */
export function bandGain({shape = "peak", frequency_hz = 1000, gain_db = 0, q = 0.7071}, hz) {
  const a = 10 ** (gain_db / 40);
  const square = (hz / frequency_hz) ** 2;
  if (shape === "peak") {
    const shared = (1 - square) ** 2, ring = square / (q * q);
    return 10 * Math.log10((shared + ring * a * a) / (shared + ring / (a * a)));
  }
  const slope = (a * square) / (q * q);
  let low = (a - square) ** 2 + slope, high = (1 - a * square) ** 2 + slope;
  if (shape === "high_shelf") [low, high] = [high, low];
  return gain_db / 2 + 10 * Math.log10(low / high);
}

/** Gain of a drawn curve at a frequency, dB. */
export function pointsGain(points, hz) {
  if (!points.length) return 0;
  if (hz <= points[0].frequency_hz) return points[0].gain_db;
  for (let n = 1; n < points.length; n += 1) {
    const [from, to] = [points[n - 1], points[n]];
    if (hz <= to.frequency_hz) {
      const share = Math.log(hz / from.frequency_hz) / Math.log(to.frequency_hz / from.frequency_hz);
      return from.gain_db + share * (to.gain_db - from.gain_db);
    }
  }
  return points[points.length - 1].gain_db;
}

/** Gain of an eq step on the mid or the side, its amount and bypass taken in. */
export function eqGain(step, hz, channel = "mid") {
  if (!step || !step.enabled) return 0;
  const acts = (part) => !part.channels || part.channels === "all" || part.channels === channel;
  let total = 0;
  for (const band of step.settings.bands) {
    if (acts(band)) total += bandGain({...band, gain_db: band.gain_db * step.amount}, hz);
  }
  for (const curve of step.settings.curves || []) if (acts(curve)) total += step.amount * pointsGain(curve.points, hz);
  return total;
}

export const GRID_HZ = Array.from({length: 241}, (_, n) => 20 * 1000 ** (n / 240));
