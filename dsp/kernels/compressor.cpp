// Feed-forward compression of one band, and the same ballistics on a track of levels.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

namespace {

// Static curve with a soft knee, in dB (Giannoulis, Massberg & Reiss, JAES 60(6), 2012, eq. 4): gain for a level.
struct Curve {
    double threshold, slope, knee;
    double gain(double level) const {
        const double over = level - threshold;
        if (2.0 * over <= -knee) return 0.0;
        if (2.0 * over < knee) return slope * (over + 0.5 * knee) * (over + 0.5 * knee) / (2.0 * knee);
        return slope * over;
    }
};

// The decoupled detector of the same paper (eq. 17), on the gain: down at once and up at the release's pace, so that it
// rides on the crests of a low note; then a one-pole of the attack's time constant.
struct Ballistics {
    double down, up, held = 0.0, gain = 0.0;
    Ballistics(double attack_s, double release_s, double step_s)
        : down(1.0 - std::exp(-step_s / attack_s)), up(1.0 - std::exp(-step_s / release_s)) {}
    double next(double wanted) {
        held = wanted < held ? wanted : held + (wanted - held) * up;
        gain += (held - gain) * down;
        if (wanted == 0.0 && gain > -1e-4 && held > -1e-4) held = gain = 0.0;
        return gain;
    }
};

double from_db(double db) { return std::exp(db * 0.11512925464970229); }

class Compressor {
    Curve curve;
    Ballistics ballistics;
    double makeup;
    size_t grid, position = 0;
    double highest = 0.0;  // peak of all channels over the step so far
    double from, to;  // linear gains at the two ends of the running grid step

  public:
    double deepest = 0.0, total = 0.0;
    uint64_t steps = 0;

    Compressor(double rate, size_t grid_, double threshold, double ratio, double knee, double attack_s,
               double release_s, double makeup_db)
        : curve{threshold, 1.0 / ratio - 1.0, knee}, ballistics(attack_s, release_s, grid_ / rate),
          makeup(from_db(makeup_db)), grid(grid_), from(makeup), to(makeup) {}

    // Adds (gain - 1) times the band to `out`. The gain follows one grid step (a third of a ms) behind the level.
    template <class T> void apply(Planar<T> band, PlanarOut<T> out) {
        const size_t channels = band.shape(0), samples = band.shape(1);
        nb::gil_scoped_release release;
        for (size_t start = 0; start < samples;) {
            const size_t count = std::min(grid - position, samples - start);
            for (size_t c = 0; c < channels; ++c) {
                const T *x = band.data() + c * samples + start;
                T *y = out.data() + c * samples + start;
                T peak = 0;
                for (size_t i = 0; i < count; ++i) peak = std::max(peak, std::abs(x[i]));
                highest = std::max(highest, static_cast<double>(peak));
                if (from == 1.0 && to == 1.0) continue;
                const double slope = (to - from) / static_cast<double>(grid), first = from - 1.0;
                for (size_t i = 0; i < count; ++i)
                    y[i] += static_cast<T>((first + slope * static_cast<double>(position + i + 1)) * x[i]);
            }
            position += count;
            start += count;
            if (position == grid) close();
        }
    }

  private:
    void close() {
        const double gain = ballistics.next(curve.gain(20.0 * std::log10(highest + 1e-10)));
        highest = 0.0;
        deepest = std::min(deepest, gain);
        total += gain;
        ++steps;
        from = to;
        to = makeup * (gain == 0.0 ? 1.0 : from_db(gain));
        position = 0;
    }
};

void level_gains(Row<double> level_db, double step_s, double threshold, double ratio, double knee, double attack_s,
                 double release_s, RowOut<double> gain_db) {
    const Curve curve{threshold, 1.0 / ratio - 1.0, knee};
    Ballistics ballistics(attack_s, release_s, step_s);
    nb::gil_scoped_release release;
    for (size_t i = 0; i < level_db.shape(0); ++i)
        gain_db.data()[i] = ballistics.next(curve.gain(level_db.data()[i]));
}

static Register here([](nb::module_ &m) {
    nb::class_<Compressor>(m, "Compressor")
        .def(nb::init<double, size_t, double, double, double, double, double, double>(),
             nb::arg("sample_rate_hz"), nb::arg("grid"), nb::arg("threshold_db"), nb::arg("ratio"),
             nb::arg("knee_db"), nb::arg("attack_s"), nb::arg("release_s"), nb::arg("makeup_db"))
        .def("apply", &Compressor::apply<float>)
        .def("apply", &Compressor::apply<double>)
        .def_ro("deepest_db", &Compressor::deepest)
        .def_ro("total_db", &Compressor::total)
        .def_ro("steps", &Compressor::steps);
    m.def("level_gains", &level_gains);
});

}  // namespace
