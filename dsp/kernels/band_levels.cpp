// Peak and power of three bands and of the whole, over segments: the fast part of the dynamics meter.
#include "kernels.hpp"

#include <algorithm>
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

// Lanes are filters that run side by side. Written as loops of a fixed length, which become vectors.
template <int N> struct Lanes {
    double v[N];
};

template <int N> struct Sections {
    Lanes<N> b0, b1, b2, a1, a2, z1{}, z2{};
    void set(int lane, const Section &s) {
        b0.v[lane] = s.b0, b1.v[lane] = s.b1, b2.v[lane] = s.b2, a1.v[lane] = s.a1, a2.v[lane] = s.a2;
    }
    inline Lanes<N> run(const Lanes<N> &x) {
        Lanes<N> y;
        for (int i = 0; i < N; ++i) {
            y.v[i] = b0.v[i] * x.v[i] + z1.v[i];
            z1.v[i] = (b1.v[i] * x.v[i] + z2.v[i]) - a1.v[i] * y.v[i];
            z2.v[i] = b2.v[i] * x.v[i] - a2.v[i] * y.v[i];
        }
        return y;
    }
};

// Low and high of both channels are four lanes, the two halves of the middle band two each.
struct Filters {
    Sections<4> outer[2];
    Sections<2> middle[4];
};

struct Level {
    double top[2 * kBands], sum[2 * kBands];  // left and right of each band
};

template <class T>
inline void stretch(const T *left, const T *right, int64_t samples, Filters &state, Level &level) {
    Filters f = state;
    Level l{};
    for (int64_t n = 0; n < samples; ++n) {
        const double raw[2] = {static_cast<double>(left[n]), static_cast<double>(right[n])};
        const double x[2] = {raw[0] + 1e-30, raw[1] + 1e-30};  // no denormals after the music has ended
        const Lanes<4> outer = f.outer[1].run(f.outer[0].run({{x[0], x[1], x[0], x[1]}}));
        Lanes<2> mid{{x[0], x[1]}};
        for (Sections<2> &section : f.middle) mid = section.run(mid);
        const double y[2 * kBands] = {outer.v[0], outer.v[1], mid.v[0], mid.v[1], outer.v[2], outer.v[3], raw[0], raw[1]};
        for (int i = 0; i < 2 * kBands; ++i) {
            const double size = std::fabs(y[i]);
            l.top[i] = l.top[i] > size ? l.top[i] : size;
            l.sum[i] += y[i] * y[i];
        }
    }
    state = f;
    level = l;
}

VECTOR_CLONES void stretch_f(const float *l, const float *r, int64_t n, Filters &f, Level &v) { stretch(l, r, n, f, v); }
VECTOR_CLONES void stretch_d(const double *l, const double *r, int64_t n, Filters &f, Level &v) {
    stretch(l, r, n, f, v);
}

struct BandLevels {
    Filters filters;

    BandLevels(double rate, double low_hz, double high_hz) {
        for (int i = 0; i < 4; ++i)
            for (Sections<4> &section : filters.outer)
                section.set(i, i < 2 ? butterworth(low_hz, rate, false) : butterworth(high_hz, rate, true));
        for (int i = 0; i < 2; ++i)
            for (int k = 0; k < 4; ++k)
                filters.middle[k].set(i, k < 2 ? butterworth(low_hz, rate, true) : butterworth(high_hz, rate, false));
    }

    // Peak and energy of each stretch of a block (1 or 2 channels): stretch i ends before sample stops[i].
    // peak, energy: (stretches, bands).
    template <class T>
    void measure(Planar<T> in, Row<int64_t> stops, PlanarOut<double> peak, PlanarOut<double> energy) {
        const T *left = in.data(), *right = in.data() + (in.shape(0) > 1 ? in.shape(1) : 0);
        const size_t stretches = stops.shape(0);
        nb::gil_scoped_release release;
        int64_t n = 0;
        for (size_t i = 0; i < stretches; ++i) {
            Level level;
            if constexpr (sizeof(T) == sizeof(float))
                stretch_f(left + n, right + n, stops(i) - n, filters, level);
            else
                stretch_d(left + n, right + n, stops(i) - n, filters, level);
            n = stops(i);
            for (int b = 0; b < kBands; ++b) {
                peak(i, b) = std::max(level.top[2 * b], level.top[2 * b + 1]);
                energy(i, b) = 0.5 * (level.sum[2 * b] + level.sum[2 * b + 1]);
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
