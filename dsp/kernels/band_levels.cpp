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

// Lanes are filters that run side by side, in one register. Whoever allocates them need not know its alignment.
template <int N> struct Wide;
#if defined(__GNUC__)
template <> struct Wide<2> {
    using type = double __attribute__((vector_size(16), aligned(8)));
};
template <> struct Wide<4> {
    using type = double __attribute__((vector_size(32), aligned(8)));
};
template <int N> using Lanes = typename Wide<N>::type;
#else
template <int N> struct Lanes {
    double v[N];
    double &operator[](int i) { return v[i]; }
    double operator[](int i) const { return v[i]; }
    Lanes &operator+=(Lanes b) {
        for (int i = 0; i < N; ++i) v[i] += b.v[i];
        return *this;
    }
    friend Lanes operator+(Lanes a, Lanes b) { return a += b; }
    friend Lanes operator-(Lanes a, Lanes b) {
        for (int i = 0; i < N; ++i) a.v[i] -= b.v[i];
        return a;
    }
    friend Lanes operator*(Lanes a, Lanes b) {
        for (int i = 0; i < N; ++i) a.v[i] *= b.v[i];
        return a;
    }
};
#endif

template <int N> inline void raise(Lanes<N> &top, const Lanes<N> &x) {
#if defined(__GNUC__) && !defined(__clang__)
    top = top > x ? top : x;
#else
    for (int i = 0; i < N; ++i) top[i] = std::max<double>(top[i], x[i]);
#endif
}

// Two equal sections in a row. Direct form I: the recursion is one multiply-add long, and its length bounds the speed.
template <int N> struct Slope {
    Lanes<N> b0, b1, b2, a1, a2, x1{}, x2{}, u1{}, u2{}, v1{}, v2{};
    void set(int lane, const Section &s) {
        b0[lane] = s.b0, b1[lane] = s.b1, b2[lane] = s.b2, a1[lane] = s.a1, a2[lane] = s.a2;
    }
    INTO_CLONES void run(const Lanes<N> &x, Lanes<N> &out) {
        const Lanes<N> u = (b0 * x + b1 * x1 + b2 * x2 - a2 * u2) - a1 * u1;
        const Lanes<N> v = (b0 * u + b1 * u1 + b2 * u2 - a2 * v2) - a1 * v1;
        x2 = x1;
        x1 = x;
        u2 = u1;
        u1 = u;
        v2 = v1;
        v1 = v;
        out = v;
    }
};

// Low and high of both channels are four lanes, the two slopes of the middle band two each.
struct Filters {
    Slope<4> outer;
    Slope<2> middle[2];
};

struct Level {
    double top[2 * kBands], sum[2 * kBands];  // of squares; left and right of each band
};

constexpr int64_t kPiece = 512;

// Every other sample has a maximum and a sum of its own: half as long a wait for the one before.
template <int N> inline void measure_lanes(const Lanes<N> *x, int64_t samples, Lanes<N> &top, Lanes<N> &sum) {
    Lanes<N> tops[2] = {top, top}, sums[2] = {sum, Lanes<N>{}};
    for (int64_t n = 0; n < samples; ++n) {
        const Lanes<N> square = x[n] * x[n];
        raise<N>(tops[n % 2], square);
        sums[n % 2] += square;
    }
    raise<N>(tops[0], tops[1]);
    top = tops[0];
    sum = sums[0] + sums[1];
}

// One slope at a time over a piece: its coefficients and its memory stay in registers.
template <class T>
INTO_CLONES void stretch(const T *left, const T *right, int64_t samples, Filters &f, Level &level) {
    Lanes<4> outer_top{}, outer_sum{};
    Lanes<2> mid_top{}, mid_sum{}, raw_top{}, raw_sum{};
    Lanes<4> outer[kPiece];
    Lanes<2> mid[kPiece];
    for (int64_t from = 0; from < samples; from += kPiece) {
        const int64_t count = std::min(kPiece, samples - from);
        for (int64_t n = 0; n < count; ++n) mid[n] = Lanes<2>{double(left[from + n]), double(right[from + n])};
        measure_lanes<2>(mid, count, raw_top, raw_sum);
        Slope<4> wide = f.outer;
        for (int64_t n = 0; n < count; ++n) {
            mid[n] = mid[n] + Lanes<2>{1e-30, 1e-30};  // no denormals after the music has ended
            const Lanes<4> x{mid[n][0], mid[n][1], mid[n][0], mid[n][1]};
            wide.run(x, outer[n]);
        }
        f.outer = wide;
        measure_lanes<4>(outer, count, outer_top, outer_sum);
        for (Slope<2> &half : f.middle) {
            Slope<2> slope = half;
            for (int64_t n = 0; n < count; ++n) slope.run(mid[n], mid[n]);
            half = slope;
        }
        measure_lanes<2>(mid, count, mid_top, mid_sum);
    }
    level = {{outer_top[0], outer_top[1], mid_top[0], mid_top[1], outer_top[2], outer_top[3], raw_top[0], raw_top[1]},
             {outer_sum[0], outer_sum[1], mid_sum[0], mid_sum[1], outer_sum[2], outer_sum[3], raw_sum[0], raw_sum[1]}};
}

VECTOR_CLONES void stretch_f(const float *l, const float *r, int64_t n, Filters &f, Level &v) { stretch(l, r, n, f, v); }
VECTOR_CLONES void stretch_d(const double *l, const double *r, int64_t n, Filters &f, Level &v) {
    stretch(l, r, n, f, v);
}

struct BandLevels {
    Filters filters;

    BandLevels(double rate, double low_hz, double high_hz) {
        for (int i = 0; i < 4; ++i)
            filters.outer.set(i, i < 2 ? butterworth(low_hz, rate, false) : butterworth(high_hz, rate, true));
        for (int i = 0; i < 2; ++i) {
            filters.middle[0].set(i, butterworth(low_hz, rate, true));
            filters.middle[1].set(i, butterworth(high_hz, rate, false));
        }
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
                peak(i, b) = std::sqrt(std::max(level.top[2 * b], level.top[2 * b + 1]));
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
