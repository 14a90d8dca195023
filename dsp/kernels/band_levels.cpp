// Peak and power of three bands and of the whole, over segments: the fast part of the dynamics meter.
#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace {

constexpr int kBands = 4;  // low, mid, high, whole
constexpr double kPi = 3.14159265358979323846;

struct Section {
    double b0, b1, b2, a1, a2;
};

// Two of these in a row are a fourth-order Linkwitz-Riley slope.
Section butterworth(double hz, double rate, bool high) {
    const double k = std::tan(kPi * std::min(hz, 0.49 * rate) / rate), q = std::sqrt(0.5);
    const double a0 = 1.0 + k / q + k * k;
    const double b0 = (high ? 1.0 : k * k) / a0;
    return {b0, high ? -2.0 * b0 : 2.0 * b0, b0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0};
}

// Two channels side by side, so that the compiler can keep them in one register.
struct Pair {
    double z1[2] = {0.0, 0.0}, z2[2] = {0.0, 0.0};
    inline void run(const Section &s, const double *in, double *out) {
        for (int c = 0; c < 2; ++c) {
            const double x = in[c], y = s.b0 * x + z1[c];
            z1[c] = s.b1 * x - s.a1 * y + z2[c];
            z2[c] = s.b2 * x - s.a2 * y;
            out[c] = y;
        }
    }
};

struct BandLevels {
    Section low_of_low, high_of_low, low_of_high, high_of_high;
    std::array<Pair, 8> z;

    BandLevels(double rate, double low_hz, double high_hz)
        : low_of_low(butterworth(low_hz, rate, false)), high_of_low(butterworth(low_hz, rate, true)),
          low_of_high(butterworth(high_hz, rate, false)), high_of_high(butterworth(high_hz, rate, true)) {}

    // Peak and energy of each stretch of a block (1 or 2 channels): stretch i ends before sample stops[i].
    // peak, energy: (stretches, bands).
    template <class T>
    void measure(Planar<T> in, Row<int64_t> stops, PlanarOut<double> peak, PlanarOut<double> energy) {
        const bool stereo = in.shape(0) > 1;
        const T *left = in.data(), *right = in.data() + (stereo ? in.shape(1) : 0);
        const size_t stretches = stops.shape(0);
        nb::gil_scoped_release release;
        int64_t n = 0;
        for (size_t i = 0; i < stretches; ++i) {
            double top[kBands] = {0.0, 0.0, 0.0, 0.0}, sum[kBands] = {0.0, 0.0, 0.0, 0.0};
            for (const int64_t stop = stops(i); n < stop; ++n) {
                const double raw[2] = {left[n], right[n]};
                const double x[2] = {raw[0] + 1e-30, raw[1] + 1e-30};  // no denormals after the music has ended
                double low[2], mid[2], high[2];
                z[0].run(low_of_low, x, low);
                z[1].run(low_of_low, low, low);
                z[2].run(high_of_high, x, high);
                z[3].run(high_of_high, high, high);
                z[4].run(high_of_low, x, mid);
                z[5].run(high_of_low, mid, mid);
                z[6].run(low_of_high, mid, mid);
                z[7].run(low_of_high, mid, mid);
                const double *bands[kBands] = {low, mid, high, raw};
                for (int b = 0; b < kBands; ++b) {
                    const double l = bands[b][0], r = bands[b][1];
                    top[b] = std::max(top[b], std::max(std::abs(l), std::abs(r)));
                    sum[b] += 0.5 * (l * l + r * r);
                }
            }
            for (int b = 0; b < kBands; ++b) {
                peak(i, b) = top[b];
                energy(i, b) = sum[b];
            }
        }
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<BandLevels>(m, "BandLevels")
        .def(nb::init<double, double, double>(), nb::arg("sample_rate_hz"), nb::arg("low_hz"), nb::arg("high_hz"))
        .def("measure", &BandLevels::measure<float>)
        .def("measure", &BandLevels::measure<double>);
});

}  // namespace
