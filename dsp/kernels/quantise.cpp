// Rounding to the grid of a bit depth under TPDF dither that depends on (seed, channel, position) alone.
#include "kernels.hpp"

namespace {

// The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a counter in, 64 random bits out.
inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// Triangular noise, 2 steps wide, that depends on key and position alone.
inline double triangular(uint64_t key, uint64_t position) {
    const uint64_t bits = mixed(key + position * 0x9e3779b97f4a7c15ULL);
    const double one = static_cast<int32_t>(bits), other = static_cast<int32_t>(bits >> 32);
    return (one + other + 1.0) * 0x1p-32;
}

inline double to_nearest(double v) {
    const double nearest = 6755399441055744.0;  // 1.5 * 2^52: added and taken off, it rounds halves to even
    return (v + nearest) - nearest;
}

inline uint64_t key_of(uint64_t seed, size_t channel) { return mixed(mixed(seed + 1) + channel); }

// Each product with a power of two and each sum below is exact, so every CPU gives the same samples.
template <class T>
inline int64_t quantised(const T *in, T *out, size_t samples, double steps, uint64_t key, uint64_t position) {
    const double lowest = -steps, highest = steps - 1.0;
    int64_t clamped = 0;
    for (size_t n = 0; n < samples; ++n) {
        double v = in[n] * steps + triangular(key, position + n);
        clamped += (v < lowest - 0.5) | (v >= highest + 0.5);
        v = v < lowest ? lowest : v;
        v = v > highest ? highest : v;
        out[n] = static_cast<T>(to_nearest(v) / steps);
    }
    return clamped;
}

VECTOR_CLONES int64_t quantised_f(const float *in, float *out, size_t samples, double steps, uint64_t key,
                                  uint64_t position) {
    return quantised(in, out, samples, steps, key, position);
}
VECTOR_CLONES int64_t quantised_d(const double *in, double *out, size_t samples, double steps, uint64_t key,
                                  uint64_t position) {
    return quantised(in, out, samples, steps, key, position);
}

template <class T> int64_t quantise(Planar<T> in, PlanarOut<T> out, int bit_depth, uint64_t seed, uint64_t position) {
    const size_t channels = in.shape(0), samples = in.shape(1);
    const double steps = static_cast<double>(int64_t{1} << (bit_depth - 1));
    nb::gil_scoped_release release;
    int64_t clamped = 0;
    for (size_t c = 0; c < channels; ++c) {
        const uint64_t key = key_of(seed, c);
        const T *x = in.data() + c * samples;
        T *y = out.data() + c * samples;
        if constexpr (sizeof(T) == sizeof(float))
            clamped += quantised_f(x, y, samples, steps, key, position);
        else
            clamped += quantised_d(x, y, samples, steps, key, position);
    }
    return clamped;
}

// The same with error feedback: what rounding did to one sample is made good in those after it.
struct NoiseShapers {
    std::vector<double> taps;
    std::vector<std::vector<double>> errors;  // of each channel, the newest first

    NoiseShapers(Row<double> filter, int channels) : taps(filter.data(), filter.data() + filter.shape(0)) {
        errors.assign(channels, std::vector<double>(taps.size(), 0.0));
    }

    template <class T>
    int64_t quantise(Planar<T> in, PlanarOut<T> out, int bit_depth, uint64_t seed, uint64_t position) {
        const size_t channels = in.shape(0), samples = in.shape(1), order = taps.size();
        const double steps = static_cast<double>(int64_t{1} << (bit_depth - 1));
        const double lowest = -steps, highest = steps - 1.0;
        nb::gil_scoped_release release;
        int64_t clamped = 0;
        for (size_t c = 0; c < channels; ++c) {
            const uint64_t key = key_of(seed, c);
            const T *x = in.data() + c * samples;
            T *y = out.data() + c * samples;
            double *e = errors[c].data();
            for (size_t n = 0; n < samples; ++n) {
                double v = x[n] * steps;
                for (size_t k = 0; k < order; ++k) v += taps[k] * e[k];
                const double rounded = to_nearest(v + triangular(key, position + n));
                for (size_t k = order - 1; k > 0; --k) e[k] = e[k - 1];
                // The error of the rounding alone: what clamping cuts off is not pushed into what follows. NaN is
                // for the file to refuse.
                e[0] = rounded - v;
                clamped += (rounded < lowest) | (rounded > highest);
                const double kept = rounded < lowest ? lowest : rounded > highest ? highest : rounded;
                y[n] = static_cast<T>(kept / steps);
            }
        }
        return clamped;
    }
};

static Register here([](nb::module_ &m) {
    m.def("quantise", &quantise<float>, nb::arg("samples"), nb::arg("out"), nb::arg("bit_depth"), nb::arg("seed"),
          nb::arg("position"), "Round to k/2^(bit_depth-1) under TPDF dither; how many samples were clamped.");
    m.def("quantise", &quantise<double>, nb::arg("samples"), nb::arg("out"), nb::arg("bit_depth"), nb::arg("seed"),
          nb::arg("position"));
    nb::class_<NoiseShapers>(m, "NoiseShapers")
        .def(nb::init<Row<double>, int>(), nb::arg("taps"), nb::arg("channels"))
        .def("quantise", &NoiseShapers::quantise<float>)
        .def("quantise", &NoiseShapers::quantise<double>);
});

}  // namespace
