// A true-peak limiter in two stages: one shapes the sound, the second measures what came of it and makes sure.
#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace {

#if defined(__GNUC__)
typedef float Lanes __attribute__((vector_size(32)));
#else
struct Lanes {
    float lane[8];
    float operator[](int j) const { return lane[j]; }
};
inline Lanes operator*(Lanes a, const Lanes &b) {
    for (int j = 0; j < 8; ++j) a.lane[j] *= b.lane[j];
    return a;
}
inline Lanes operator+(Lanes a, const Lanes &b) {
    for (int j = 0; j < 8; ++j) a.lane[j] += b.lane[j];
    return a;
}
inline Lanes &operator+=(Lanes &a, const Lanes &b) { return a = a + b; }
#endif

constexpr double kPi = 3.14159265358979323846;
constexpr int kTaps = 128, kPhases = 16, kHalf = kTaps / 2, kLevels = 4;  // kPhases = 2^kLevels
constexpr double kBeta = 8.0;
constexpr double kAlmostOne = 1.0 - 1e-6;
constexpr size_t kChunk = 4096;
constexpr size_t kSpan = 64;   // bounds of what a window contains are kept for spans this long; a window touches three
constexpr size_t kBlock = 16;  // intervals that share one threshold
constexpr size_t kMostNeighbours = 24;

double bessel(double x) {
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 60; ++k) {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
    }
    return sum;
}

// Kaiser-windowed sinc at the fractions k/kPhases between taps kHalf - 1 and kHalf, and how far it can bulge.
//
// Between two phases the interpolated curve differs from its chord by a filter without DC, which is a filter on second
// differences plus a trace of slope. Its L1 norm bounds the curve: |y| <= ends + bend * max|x''| + slack * max|x|. So
// whether a peak can hide between two phases is known without looking, and without an approximation.
struct Interpolator {
    std::vector<float> rows;
    std::array<float, kLevels> bend{};
    float slack = 0.0f;

    Interpolator() : rows(kTaps * kPhases) {
        std::vector<std::vector<double>> exact(kPhases + 1, std::vector<double>(kTaps, 0.0));
        exact[0][kHalf - 1] = exact[kPhases][kHalf] = 1.0;
        for (int k = 1; k < kPhases; ++k) {
            double sum = 0.0;
            for (int t = 0; t < kTaps; ++t) {
                const double x = t - (kHalf - 1) - static_cast<double>(k) / kPhases, r = x / kHalf;
                const double window = std::abs(r) < 1.0 ? bessel(kBeta * std::sqrt(1.0 - r * r)) / bessel(kBeta) : 0.0;
                exact[k][t] = std::sin(kPi * x) / (kPi * x) * window;
                sum += exact[k][t];
            }
            for (double &h : exact[k]) h /= sum;
        }
        for (int k = 0; k < kPhases; ++k)
            for (int t = 0; t < kTaps; ++t) rows[k * kTaps + t] = static_cast<float>(exact[k][t]);
        double slope = 0.0;
        for (int level = 0; level < kLevels; ++level) {
            const int width = kPhases >> level;
            double most = 0.0;
            for (int from = 0; from < kPhases; from += width)
                for (int k = 1; k < width; ++k) {
                    const double share = static_cast<double>(k) / width;
                    double once = 0.0, twice = 0.0, norm = 0.0;
                    for (int t = 0; t < kTaps - 2; ++t) {
                        once += exact[from + k][t] - (1.0 - share) * exact[from][t] - share * exact[from + width][t];
                        twice += once;
                        norm += std::abs(twice);
                    }
                    const int last = kTaps - 2;
                    once += exact[from + k][last] - (1.0 - share) * exact[from][last] - share * exact[from + width][last];
                    slope = std::max(slope, std::abs(twice + once));
                    most = std::max(most, norm);
                }
            bend[level] = static_cast<float>(most * (1.0 + 1e-6));
        }
        slack = static_cast<float>(2.0 * slope + 1e-5);  // the second part: single precision
    }
};

// Thirty-two running sums, in vectors by name: left to itself the compiler adds one by one.
INTO_CLONES float magnitude(const float *x, const float *row) {
    Lanes sums[4] = {};
    for (int t = 0; t < kTaps; t += 32)
        for (int j = 0; j < 4; ++j) {
            Lanes h, v;
            std::memcpy(&h, row + t + 8 * j, sizeof h);
            std::memcpy(&v, x + t + 8 * j, sizeof v);
            sums[j] += h * v;
        }
    const Lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return std::fabs(((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])));
}

// Largest magnitude of the phases between `from` and the next of the level, as far as it is above `best`: halved where
// something can hide, the half with the higher end first. rise: what each level may hide.
template <int level>
INTO_CLONES float highest(const float *x, const float *rows, const float *rise, int from, float left, float right,
                          float best) {
    if constexpr (level < kLevels) {
        if (std::max(left, right) + rise[level] <= best) return best;
        constexpr int half = kPhases >> (level + 1);
        const float middle = magnitude(x, rows + (from + half) * kTaps);
        best = std::max(best, middle);
        bool low = left > right;
        for (int side = 0; side < 2; ++side, low = !low)
            best = highest<level + 1>(x, rows, rise, low ? from : from + half, low ? left : middle,
                                      low ? middle : right, best);
    }
    return best;
}

VECTOR_CLONES void span_bounds(const float *x, size_t length, float *largest, float *sharpest) {
    for (size_t k = 0, start = 0; start < length; ++k, start += kSpan) {
        const size_t stop = std::min(start + kSpan, length);
        float top = 0.0f, bend = 0.0f;
        for (size_t i = start; i < stop; ++i) top = std::max(top, std::fabs(x[i]));
        // A second difference belongs to the span of each of its samples; the first and last have no neighbour to ask.
        const size_t first = start ? start - 1 : 0, last = std::min(stop + 1, length) - 2;
        for (size_t i = first; i < last; ++i) bend = std::max(bend, std::fabs(x[i] - 2.0f * x[i + 1] + x[i + 2]));
        largest[k] = top;
        sharpest[k] = bend;
    }
}

VECTOR_CLONES void raise(float *peaks, const float *x, size_t count) {
    for (size_t i = 0; i < count; ++i) peaks[i] = std::max(peaks[i], std::fabs(x[i]));
}

VECTOR_CLONES float largest_of(const float *x, size_t count) {
    float top = 0.0f;
    for (size_t i = 0; i < count; ++i) top = std::max(top, std::fabs(x[i]));
    return top;
}

// The intervals of one block whose bound is above `threshold`, in full; gives the largest peak of the block.
VECTOR_CLONES float block_peaks(const float *x, size_t count, const float *rows, const float *rise, float threshold,
                                float *peaks) {
    float top = 0.0f;
    for (size_t i = 0; i < count; ++i) {
        const float *window = x + i;
        const float left = std::fabs(window[kHalf - 1]), right = std::fabs(window[kHalf]);
        const float best = highest<0>(window, rows, rise, 0, left, right, threshold);
        if (best > threshold) peaks[i] = std::max(peaks[i], best);
        top = std::max(top, peaks[i]);
    }
    return top;
}

// The peaks between each sample and the next, exact wherever they can matter to a running maximum of `window` of them.
// Between `start` and the ceiling, where a knee acts and nothing has to be kept, those of the samples.
class Detector {
    float ceiling, start;
    size_t neighbours;
    std::vector<std::vector<float>> largest, sharpest;
    std::vector<float> tops;

  public:
    Detector(size_t channels, double ceiling_, double start_, size_t window)
        : ceiling(static_cast<float>(ceiling_)), start(static_cast<float>(start_)), neighbours(0),
          largest(channels, std::vector<float>((kChunk + kTaps) / kSpan + 3)), sharpest(largest),
          tops(kChunk / kBlock + 1) {
        const size_t half = (window - 1) / 2;
        if (half + 1 > kBlock) neighbours = std::min((half + 1 - kBlock) / kBlock, kMostNeighbours);
    }

    // heard: per channel, kTaps - 1 samples before the `count` new ones. False where nothing can exceed the start.
    bool find(const Interpolator &filter, const std::vector<const float *> &heard, size_t count, float *peaks) {
        const size_t length = count + kTaps - 1, spans = (length + kSpan - 1) / kSpan;
        bool any = false;
        for (size_t c = 0; c < heard.size(); ++c) {
            span_bounds(heard[c], length, largest[c].data(), sharpest[c].data());
            for (size_t k = 0; k < spans && !any; ++k) any = top(filter, c, k, spans) > start;
        }
        if (!any) return false;
        std::fill(peaks, peaks + count, 0.0f);
        for (const float *x : heard) raise(peaks, x + kHalf - 1, count);
        const size_t blocks = (count + kBlock - 1) / kBlock;
        for (size_t b = 0; b < blocks; ++b)
            tops[b] = largest_of(peaks + b * kBlock, std::min(kBlock, count - b * kBlock));
        for (size_t b = 0; b < blocks; ++b) {
            const size_t start = b * kBlock, width = std::min(kBlock, count - start), k = start / kSpan;
            float threshold = -1.0f;
            for (size_t c = 0; c < heard.size(); ++c) {
                const float ends = largest_of(heard[c] + start + kHalf - 1, width + 1);
                const float bend = widest(sharpest[c], k, spans), slack = filter.slack * widest(largest[c], k, spans);
                std::array<float, kLevels> rise;
                for (int level = 0; level < kLevels; ++level) rise[level] = filter.bend[level] * bend + slack;
                if (ends + rise[0] <= ceiling) continue;
                if (threshold < 0.0f) threshold = std::max(ceiling, outdone(b, blocks));
                if (ends + rise[0] <= threshold) continue;
                tops[b] = std::max(tops[b], block_peaks(heard[c] + start, width, filter.rows.data(), rise.data(),
                                                        threshold, peaks + start));
            }
        }
        return true;
    }

  private:
    static float widest(const std::vector<float> &bounds, size_t k, size_t spans) {
        float top = bounds[k];
        for (size_t j = k + 1; j < std::min(k + 3, spans); ++j) top = std::max(top, bounds[j]);
        return top;
    }

    float top(const Interpolator &filter, size_t c, size_t k, size_t spans) const {
        return widest(largest[c], k, spans) * (1.0f + filter.slack) + filter.bend[0] * widest(sharpest[c], k, spans);
    }

    // Any window around a block reaches over all its neighbours on one side at least: what is lower than a sample on
    // either side is never the highest of a window.
    float outdone(size_t b, size_t blocks) const {
        float before = 0.0f, after = 0.0f;
        for (size_t j = b - std::min(b, neighbours); j < b; ++j) before = std::max(before, tops[j]);
        for (size_t j = b + 1; j < std::min(b + 1 + neighbours, blocks); ++j) after = std::max(after, tops[j]);
        return std::min(before, after);
    }
};

// Samples with as much of the past as a filter needs before them; `data()[past]` is the oldest new one.
template <class T> struct History {
    size_t past;
    std::vector<T> line;

    explicit History(size_t past_, T fill = T(0)) : past(past_), line(past_ + kChunk, fill) {}
    T *fresh() { return line.data() + past; }
    const T *data() const { return line.data(); }
    void forget(size_t count) { std::copy(line.begin() + count, line.begin() + count + past, line.begin()); }
};

// Mean of the last `length` values; exactly 1 while all of them are exactly 1.
struct Box {
    size_t length, below = 0;  // below: how many more values until all are 1
    double sum;
    History<double> values;

    explicit Box(size_t length_)
        : length(std::max<size_t>(length_, 1)), sum(static_cast<double>(length)), values(length, 1.0) {}

    // `count` values, as means again.
    void run(double *line, size_t count) {
        std::copy(line, line + count, values.fresh());
        const double *old = values.data(), *fresh = values.fresh(), whole = static_cast<double>(length);
        const double share = 1.0 / whole;
        double now = sum;
        size_t left = below;
        for (size_t i = 0; i < count; ++i) {
            now += fresh[i] - old[i];
            if (fresh[i] != 1.0) left = length;
            else if (left && !--left) now = whole;
            line[i] = left ? now * share : 1.0;
        }
        sum = now;
        below = left;
        values.forget(count);
    }
};

// The static curve: a parabola in decibels from `start` on, tangent to the ceiling as far above it; without a knee the
// corner at the ceiling itself.
struct Curve {
    double ceiling, start, knee;  // knee: width in nepers

    Curve(double ceiling_, double knee_) : ceiling(ceiling_), start(ceiling_ * std::exp(-0.5 * knee_)), knee(knee_) {}

    double gain(double peak) const {
        const double over = knee > 0.0 ? std::log(peak / start) : 0.0;
        return knee > 0.0 && over < knee ? std::exp(-0.5 * over * over / knee) : ceiling / peak;
    }
};

// Lowest gain that the last `length` peaks ask for, by a queue that only ever rises; peaks below the curve's start ask
// nothing.
struct Lowest {
    struct Entry {
        uint64_t until;
        double gain;
        float peak;
    };
    std::vector<Entry> ring;
    size_t head = 0, size = 0, mask;
    uint64_t now = 0, length;
    Curve curve;

    Lowest(size_t length_, Curve curve_) : length(length_), curve(curve_) {
        size_t room = 1;
        while (room < length + 1) room *= 2;
        ring.resize(room);
        mask = room - 1;
    }

    double next(float peak) {
        if (static_cast<double>(peak) > curve.start) {
            while (size && ring[(head + size - 1) & mask].peak <= peak) --size;
            ring[(head + size++) & mask] = {now + length, curve.gain(static_cast<double>(peak)), peak};
        }
        if (size && ring[head].until <= now) {
            head = (head + 1) & mask;
            --size;
        }
        ++now;
        return size ? ring[head].gain : 1.0;
    }
};

double coefficient(double seconds, double rate) { return 1.0 - std::exp(-1.0 / std::max(seconds * rate, 1.0)); }

// From the peaks to come to the gain for each sample, `lookahead` samples later: down in time along a smooth slope,
// held over the next low note's crest, up at a pace that depends on how long the limiter has been at work.
struct Envelope {
    Lowest lowest;
    Box first, second;
    double fast = 1.0, slow = 1.0, quick_step, slow_step;

    Envelope(size_t lookahead, size_t hold, Curve curve, double release_s, double slow_s, double rate)
        : lowest(lookahead + hold + 1, curve), first(lookahead / 2 + 1), second(lookahead - lookahead / 2),
          quick_step(coefficient(release_s, rate)), slow_step(slow_s > 0.0 ? coefficient(slow_s, rate) : 0.0) {}

    bool idle() const { return !lowest.size && fast == 1.0 && slow == 1.0 && !first.below && !second.below; }

    void run(const float *peaks, size_t count, double *gains) {
        for (size_t i = 0; i < count; ++i) gains[i] = lowest.next(peaks[i]);
        release(gains, count);
        first.run(gains, count);
        second.run(gains, count);
    }

  private:
    void release(double *gains, size_t count) {
        double quick = fast, steady = slow;
        for (size_t i = 0; i < count; ++i) {
            const double low = gains[i];
            quick = std::min(low, quick + (low - quick) * quick_step);
            if (low == 1.0 && quick > kAlmostOne) quick = 1.0;
            steady += (quick - steady) * slow_step;
            if (quick == 1.0 && steady > kAlmostOne) steady = 1.0;
            gains[i] = slow_step > 0.0 ? std::min(quick, steady) : quick;
        }
        fast = quick;
        slow = steady;
    }
};

VECTOR_CLONES void scaled(const double *x, const double *gains, size_t count, double *y) {
    for (size_t i = 0; i < count; ++i) y[i] = x[i] * gains[i];
}

// Detection and envelope over its own delay line: gains first, then what they make of the input.
struct Stage {
    Detector detector;
    Envelope envelope;
    std::vector<History<double>> line;
    std::vector<History<float>> heard;
    std::vector<const float *> views;
    std::vector<float> peaks;
    std::vector<double> gains;
    size_t delay;
    bool acts = false;

    Stage(size_t channels, Curve curve, size_t lookahead, size_t hold, double release_s, double slow_s, double rate)
        : detector(channels, curve.ceiling, curve.start, lookahead + hold + 1),
          envelope(lookahead, hold, curve, release_s, slow_s, rate),
          line(channels, History<double>(kHalf + lookahead)), heard(channels, History<float>(kTaps - 1)),
          peaks(kChunk), gains(kChunk, 1.0), delay(kHalf + lookahead) {
        for (const auto &h : heard) views.push_back(h.data());
    }

    template <class T> void take(size_t c, const T *x, size_t count) {
        double *exact = line[c].fresh();
        float *single = heard[c].fresh();
        for (size_t i = 0; i < count; ++i) {
            exact[i] = x[i];
            single[i] = static_cast<float>(x[i]);
        }
    }

    void run(const Interpolator &filter, size_t count) {
        const bool found = detector.find(filter, views, count, peaks.data());
        if (!found && envelope.idle()) {
            envelope.lowest.now += count;
            if (acts) std::fill(gains.begin(), gains.end(), 1.0);
            acts = false;
            return;
        }
        if (!found) std::fill(peaks.begin(), peaks.begin() + count, 0.0f);
        envelope.run(peaks.data(), count, gains.data());
        acts = true;
    }

    // The delayed samples times the gains; where there is nothing to do, as they are.
    const double *output(size_t c, size_t count, double *room) const {
        if (!acts) return line[c].data();
        scaled(line[c].data(), gains.data(), count, room);
        return room;
    }

    void forget(size_t count) {
        for (auto &l : line) l.forget(count);
        for (auto &h : heard) h.forget(count);
    }
};

// Per segment of 10 ms the lowest gain; the number and the product of all gains that are heard.
struct Record {
    double duration, heard_below;
    uint64_t position = 0, edge, limited = 0;
    double product = 1.0, log_sum = 0.0;
    std::vector<float> lows;
    float low = 1.0f;

    Record(double duration_, double heard_below_) : duration(duration_), heard_below(heard_below_) { edge = end(0); }

    uint64_t end(size_t k) const { return static_cast<uint64_t>(std::floor((k + 1) * duration + 0.5)); }

    // gains: none for a stretch in which nothing was done.
    void note(const double *gains, size_t count) {
        for (size_t start = 0; start < count;) {
            const size_t stop = std::min<uint64_t>(count, start + (edge - position));
            if (gains) run(gains + start, stop - start);
            position += stop - start;
            start = stop;
            if (position == edge) {
                lows.push_back(low);
                low = 1.0f;
                edge = end(lows.size());
            }
        }
    }

  private:
    void run(const double *gains, size_t count) {
        double lowest = 1.0;
        for (size_t i = 0; i < count; ++i) lowest = std::min(lowest, gains[i]);
        low = std::min(low, static_cast<float>(lowest));
        if (lowest >= heard_below) return;
        // One logarithm for many: their product first, folded while it is far from underflow.
        for (size_t i = 0; i < count; ++i) {
            const bool counts = gains[i] < heard_below;
            limited += counts;
            product *= counts ? gains[i] : 1.0;
            if (product < 1e-100) fold();
        }
    }

  public:
    void fold() {
        log_sum += std::log(product);
        product = 1.0;
    }
};

// A peak between samples is made by all that the filter spans: at low rates too the gain has to be steady there.
size_t guard_reach(double rate) { return std::max<size_t>(static_cast<size_t>(0.0015 * rate), kTaps) + 2; }
size_t guard_hold(double rate) { return std::max<size_t>(static_cast<size_t>(0.0005 * rate), kHalf) + 2; }

class Limiter {
    size_t channels;
    Interpolator filter;
    Stage shape, guard;
    History<double> shape_gains;
    std::vector<double> room, product;
    uint64_t early;
    size_t shape_quiet = std::numeric_limits<size_t>::max() / 2;  // samples since the shape last acted

  public:
    Record record;

    Limiter(double rate, size_t channels_, double ceiling, double knee, size_t lookahead, size_t hold,
            double release_s, double slow_s, double heard_below)
        : channels(channels_), shape(channels_, Curve(ceiling, knee), lookahead, hold, release_s, slow_s, rate),
          guard(channels_, Curve(ceiling, 0.0), guard_reach(rate), guard_hold(rate), 0.03, 0.0, rate),
          shape_gains(guard.delay, 1.0), room(kChunk), product(kChunk), early(delay()),
          record(0.01 * rate, heard_below) {}

    size_t delay() const { return shape.delay + guard.delay; }

    // Samples in, as many out, `delay` later.
    template <class T> void process(Planar<T> in, PlanarOut<T> out) {
        const size_t samples = in.shape(1);
        nb::gil_scoped_release release;
        for (size_t start = 0; start < samples; start += kChunk) {
            const size_t count = std::min(kChunk, samples - start);
            for (size_t c = 0; c < channels; ++c) shape.take(c, in.data() + c * samples + start, count);
            shape.run(filter, count);
            for (size_t c = 0; c < channels; ++c) guard.take(c, shape.output(c, count, room.data()), count);
            guard.run(filter, count);
            for (size_t c = 0; c < channels; ++c) {
                const double *y = guard.output(c, count, room.data());
                std::copy(y, y + count, out.data() + c * samples + start);
            }
            note(count);
            shape.forget(count);
            guard.forget(count);
        }
    }

  private:
    void note(size_t count) {
        shape_quiet = shape.acts ? 0 : shape_quiet + count;
        const size_t skip = static_cast<size_t>(std::min<uint64_t>(early, count));
        early -= skip;
        // Gains of the shape arrive with the samples they were given to, one guard's delay later.
        if (shape_quiet > guard.delay + count && !guard.acts) {
            record.note(nullptr, count - skip);
            return;
        }
        std::copy(shape.gains.begin(), shape.gains.begin() + count, shape_gains.fresh());
        scaled(shape_gains.data(), guard.gains.data(), count, product.data());
        record.note(product.data() + skip, count - skip);
        shape_gains.forget(count);
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<Limiter>(m, "Limiter")
        .def(nb::init<double, size_t, double, double, size_t, size_t, double, double, double>(), nb::arg("sample_rate_hz"),
             nb::arg("channels"), nb::arg("ceiling"), nb::arg("knee"), nb::arg("lookahead"), nb::arg("hold"),
             nb::arg("release_s"), nb::arg("slow_s"), nb::arg("heard_below"))
        .def_prop_ro("delay", &Limiter::delay)
        .def("process", &Limiter::process<float>)
        .def("process", &Limiter::process<double>)
        .def_prop_ro("noted", [](const Limiter &l) { return l.record.position; })
        .def_prop_ro("limited", [](const Limiter &l) { return l.record.limited; })
        .def_prop_ro("log_sum", [](const Limiter &l) { return l.record.log_sum + std::log(l.record.product); })
        .def("lows", [](const Limiter &l) {
            // An incomplete last segment only where it is alone.
            auto *lows = new std::vector<float>(l.record.lows);
            if (lows->empty()) lows->push_back(l.record.low);
            nb::capsule owner(lows, [](void *p) noexcept { delete static_cast<std::vector<float> *>(p); });
            return nb::ndarray<nb::numpy, float, nb::ndim<1>>(lows->data(), {lows->size()}, owner);
        });
});

}  // namespace
