// A true-peak limiter in two stages: one shapes the sound, the second measures what came of it and makes sure.
#include "kernels.hpp"
#include "peak_detector.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

constexpr double kAlmostOne = 1.0 - 1e-6;

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
