// How often a channel stays at its own highest or lowest value: what clipping leaves behind, at whatever level.
#include "kernels.hpp"
#include "lanes.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr int64_t SHORTEST = 3;   // equal samples
constexpr double EDGE = 1e-3;     // a natural top is round: beside three equal samples it falls by less than this

// One polarity of one channel; samples come with the sign that makes its extreme the highest.
struct Side {
    double top = 0.0, before = 0.0, rise = 0.0;
    int64_t run = 0, found = 0;

    bool is_flat(double after) const { return run >= SHORTEST && std::max(rise, top - after) > EDGE * top; }

    void take(double value) {
        if (value >= top && value > 0.0) {
            if (value > top) {  // what was flat lower down was no top
                top = value;
                found = run = 0;
            }
            if (run == 0)
                rise = value - before;
            ++run;
        } else if (run) {
            found += is_flat(value);
            run = 0;
        }
        before = value;
    }

    int64_t total() const { return found + is_flat(0.0); }  // silence follows
};

constexpr size_t GROUP = 64, LANES = 16;

template <class T> inline T highest(const T *x) {
    T lanes[LANES] = {};
    for (size_t n = 0; n < GROUP; n += LANES)
        for (size_t i = 0; i < LANES; ++i) {
            const T a = std::abs(x[n + i]);
            lanes[i] = a > lanes[i] ? a : lanes[i];
        }
    return highest_of(lanes);
}

class FlatTops {
public:
    explicit FlatTops(size_t channels) : sides_(2 * channels) {}

    template <class T> void process(Planar<T> block) {
        const size_t channels = std::min(block.shape(0), sides_.size() / 2), samples = block.shape(1);
        nb::gil_scoped_release release;
        for (size_t c = 0; c < channels; ++c) {
            Side up = sides_[2 * c], down = sides_[2 * c + 1];
            const T *x = block.data() + c * samples;
            for (size_t start = 0; start < samples; start += GROUP) {
                const size_t count = std::min(GROUP, samples - start);
                // Where nothing reaches either extreme, the first sample ends what was flat, and the rest changes nothing.
                const bool low = count == GROUP && highest(x + start) < std::min(up.top, down.top);
                for (size_t n = start; n < start + (low ? 1 : count); ++n) {
                    up.take(x[n]);
                    down.take(-static_cast<double>(x[n]));
                }
                if (low) {
                    up.before = x[start + count - 1];
                    down.before = -up.before;
                }
            }
            sides_[2 * c] = up, sides_[2 * c + 1] = down;
        }
    }

    int64_t total() const {
        int64_t sum = 0;
        for (const Side &side : sides_)
            sum += side.total();
        return sum;
    }

private:
    std::vector<Side> sides_;
};

static Register here([](nb::module_ &m) {
    nb::class_<FlatTops>(m, "FlatTops")
        .def(nb::init<size_t>(), nb::arg("channels"))
        .def("process", &FlatTops::process<float>, nb::arg("block"))
        .def("process", &FlatTops::process<double>, nb::arg("block"))
        .def("total", &FlatTops::total, "Flat tops of all channels so far, as if silence followed.");
});

}  // namespace
