// Where a channel is cut off: plateaus at its own highest and lowest value, and what tells them from made-to-be-flat.
#include "kernels.hpp"
#include "lanes.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

namespace {

constexpr double BAND = 3e-4;        // of the level: what dither and rounding leave of a flat top lies within it
constexpr double EDGE = 1e-3;        // of the level: the least step beside a plateau
constexpr double NATURAL = 9.6e-3;   // a round top n samples wide within BAND falls by less than this / n beside it
constexpr double QUANTA = 2.5;       // a step of fewer is one of the word length
constexpr double ROUNDING = 1e-6;    // what is smaller is no step
constexpr double INTERIOR = 0.25;    // of the level: flat runs above it count as made to be flat
constexpr int64_t SHORTEST = 3, SHORTEST_INTERIOR = 4;
constexpr size_t GROUP = 64, BIN_BITS = 17, BINS = size_t(0x7f800000u) >> BIN_BITS;

// Greatest magnitude, pairs of equal neighbours, least step that is none; before: the sample in front of x.
struct Looks {
    double top, step, pairs;
};

// before, earlier: the samples in front of x. A step of steps counts as one, for those of a pure tone are all large.
VECTOR_CLONES Looks look(const double *x, double before, double earlier) {
    constexpr size_t LANES = 8;
    double near[GROUP], far[GROUP], top[LANES], step[LANES], pairs[LANES];
    for (size_t i = 0; i < LANES; ++i) {
        top[i] = pairs[i] = 0.0;
        step[i] = std::numeric_limits<double>::max();
    }
    near[0] = far[1] = before;
    far[0] = earlier;
    std::memcpy(near + 1, x, (GROUP - 1) * sizeof(double));
    std::memcpy(far + 2, x, (GROUP - 2) * sizeof(double));
    for (size_t n = 0; n < GROUP; n += LANES)
        for (size_t i = 0; i < LANES; ++i) {
            const double a = std::abs(x[n + i]), d = std::abs(x[n + i] - near[n + i]);
            const double dd = std::abs(x[n + i] - 2.0 * near[n + i] + far[n + i]);
            const double one = d > ROUNDING ? d : std::numeric_limits<double>::max();
            const double two = dd > ROUNDING ? dd : std::numeric_limits<double>::max();
            top[i] = a > top[i] ? a : top[i];
            step[i] = one < step[i] ? one : step[i];
            step[i] = two < step[i] ? two : step[i];
            pairs[i] += d > 0.0 ? 0.0 : 1.0;
        }
    return {highest_of(top), lowest_of(step), sum_of(pairs)};
}

// One polarity of one channel; samples come with the sign that makes its extreme the highest.
struct Side {
    double level = 0.0, top = 0.0, before = 0.0, earlier = 0.0, rise = 0.0, approach = 0.0;
    double steps = 0.0, rises = 0.0, approaches = 0.0;
    int64_t run = 0, run_first = 0;
    int64_t plateaus = 0, flat = 0, hits = 0, at_top = 0, outgrown = 0;
    std::vector<std::pair<int64_t, int64_t>> spans;
    std::vector<int64_t> histogram = std::vector<int64_t>(BINS + 1, 0);

    double lowest() const { return level * (1.0 - BAND); }

    void take(double value, int64_t at, double quantum, int64_t gap) {
        if (value > 0.0 && value >= lowest()) {
            if (value > level * (1.0 + BAND)) {  // what was flat lower down is flat inside the sound
                level = top = value;
                outgrown += plateaus;
                plateaus = flat = hits = at_top = run = 0;
                steps = rises = approaches = 0.0;
                spans.clear();
            }
            if (value > top) {
                top = value;
                at_top = 0;
            }
            at_top += value == top;
            if (run == 0) {
                rise = value - before;
                approach = before - earlier;
                run_first = at;
            }
            ++run;
            ++hits;
        } else if (run) {
            end(value, quantum, gap);
        }
        earlier = before;
        before = value;
    }

    void end(double value, double quantum, int64_t gap) {
        const double fall = before - value;
        if (run >= SHORTEST && std::max(rise, fall) > std::max({EDGE * level, NATURAL * level / run, QUANTA * quantum})) {
            ++plateaus;
            flat += run;
            steps += std::min(rise, fall);
            if (approach > 0.0) {
                rises += rise;
                approaches += approach;
            }
        }
        if (!spans.empty() && run_first - spans.back().second <= gap)
            spans.back().second = run_first + run;
        else
            spans.emplace_back(run_first, run_first + run);
        run = 0;
    }

    void count(float value) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        ++histogram[std::min<size_t>(bits >> BIN_BITS, BINS)];
    }
};

struct Channel {
    Side high, low;
    double held[GROUP] = {};
    size_t count = 0;
    double before = 0.0, earlier = 0.0, rise = 0.0, quantum = std::numeric_limits<double>::max();
    int64_t run = 1, interior = 0, samples = 0;

    // Groups lie at the same places whatever the blocks.
    template <class T> void process(const T *x, size_t left, int64_t gap) {
        while (left) {
            const size_t some = std::min(left, GROUP - count);
            for (size_t n = 0; n < some; ++n)
                held[count + n] = x[n];
            count += some;
            x += some;
            left -= some;
            if (count == GROUP)
                group(gap);
        }
    }

    void group(int64_t gap) {
        std::fill(held + count, held + GROUP, 0.0);
        const Looks looks = look(held, before, earlier);
        const double lowest = std::min(high.lowest(), low.lowest());
        quantum = std::min(quantum, looks.step);
        if (looks.top > 0.5 * lowest)
            for (size_t n = 0; n < count; ++n) {
                if (held[n] > 0.4 * high.level)
                    high.count(static_cast<float>(held[n]));
                else if (held[n] < -0.4 * low.level)
                    low.count(static_cast<float>(-held[n]));
            }
        const bool dull = looks.top < lowest && (looks.pairs < 2.0 || looks.top < INTERIOR * lowest);
        for (size_t n = 0; n < (dull ? 1 : count); ++n)
            take(held[n], gap);
        if (dull) {  // nothing of the rest can matter
            before = high.before = held[count - 1];
            low.before = -before;
            high.earlier = count > 1 ? held[count - 2] : 0.0;
            low.earlier = -high.earlier;
            run = 1;
            rise = 0.0;
            samples += static_cast<int64_t>(count) - 1;
        }
        earlier = count > 1 ? held[count - 2] : 0.0;
        count = 0;
    }

    void take(double value, int64_t gap) {
        high.take(value, samples, quantum, gap);
        low.take(-value, samples, quantum, gap);
        if (value == before) {
            ++run;
        } else {
            const double level = std::max(high.level, low.level), size = std::abs(before);
            const double top = before > 0.0 ? high.lowest() : low.lowest();
            const double least = std::max(EDGE * level, QUANTA * quantum), step = std::abs(value - before);
            interior += run >= SHORTEST_INTERIOR && size > INTERIOR * level && size < top && rise > least && step > least;
            rise = step;
            run = 1;
        }
        before = value;
        ++samples;
    }

    // As if silence followed.
    Channel ended(int64_t gap) const {
        Channel all = *this;
        if (all.count)
            all.group(gap);
        for (Side *side : {&all.high, &all.low})
            if (side->run)
                side->end(0.0, all.quantum, gap);
        return all;
    }
};

using Spans = std::vector<std::pair<int64_t, int64_t>>;
// Least value that counts as cut off, plateaus, samples in them, samples in the band, mean lesser step beside a plateau,
// the step onto a plateau for each step before (half where it is cut, less where it is bent), plateaus outgrown, spans of what lies in the band (first sample and the one after the last), histogram by the first
// bits of a float32.
using Found = std::tuple<double, int64_t, int64_t, int64_t, double, double, int64_t, Spans, std::vector<int64_t>>;

class ClipLevels {
public:
    ClipLevels(size_t channels, int64_t gap) : channels_(channels), gap_(gap) {}

    template <class T> void process(Planar<T> block) {
        const size_t channels = std::min(block.shape(0), channels_.size()), samples = block.shape(1);
        nb::gil_scoped_release release;
        for (size_t c = 0; c < channels; ++c)
            channels_[c].process(block.data() + c * samples, samples, gap_);
    }

    // High side, low side, flat runs inside the sound, samples.
    std::tuple<Found, Found, int64_t, int64_t> result(size_t channel) const {
        const Channel all = channels_.at(channel).ended(gap_);
        return {found(all.high), found(all.low), all.interior, all.samples};
    }

private:
    static Found found(const Side &s) {
        // Where nearly all lie at one value, that is the level; else dither or rounding has spread it.
        const double level = 10 * s.at_top >= 9 * s.hits ? s.top : s.lowest();
        return {level, s.plateaus, s.flat, s.hits, s.plateaus ? s.steps / s.plateaus : 0.0,
                s.approaches > 0.0 ? s.rises / s.approaches : 1.0, s.outgrown, s.spans, s.histogram};
    }

    std::vector<Channel> channels_;
    int64_t gap_;
};

static Register here([](nb::module_ &m) {
    nb::class_<ClipLevels>(m, "ClipLevels")
        .def(nb::init<size_t, int64_t>(), nb::arg("channels"), nb::arg("gap_samples"))
        .def("process", &ClipLevels::process<float>, nb::arg("block"))
        .def("process", &ClipLevels::process<double>, nb::arg("block"))
        .def("result", &ClipLevels::result, nb::arg("channel"));
});

}  // namespace
