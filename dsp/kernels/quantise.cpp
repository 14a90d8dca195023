// Rounding to the grid of a bit depth under TPDF dither that depends on (seed, channel, position) alone.
#include "kernels.hpp"

namespace {

// The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a counter in, 64 random bits out.
inline uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// Each product with a power of two and each sum below is exact, so every CPU gives the same samples.
template <class T>
inline int64_t quantised(const T *in, T *out, size_t samples, double steps, uint64_t key, uint64_t position) {
    const double lowest = -steps, highest = steps - 1.0;
    const double nearest = 6755399441055744.0;  // 1.5 * 2^52: added and taken off, it rounds halves to even
    int64_t clamped = 0;
    for (size_t n = 0; n < samples; ++n) {
        const uint64_t bits = mixed(key + (position + n) * 0x9e3779b97f4a7c15ULL);
        const double one = static_cast<int32_t>(bits), other = static_cast<int32_t>(bits >> 32);
        double v = in[n] * steps + (one + other + 1.0) * 0x1p-32;
        clamped += (v < lowest - 0.5) | (v >= highest + 0.5);
        v = v < lowest ? lowest : v;
        v = v > highest ? highest : v;
        out[n] = static_cast<T>(((v + nearest) - nearest) / steps);
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
        const uint64_t key = mixed(mixed(seed + 1) + c);
        const T *x = in.data() + c * samples;
        T *y = out.data() + c * samples;
        if constexpr (sizeof(T) == sizeof(float))
            clamped += quantised_f(x, y, samples, steps, key, position);
        else
            clamped += quantised_d(x, y, samples, steps, key, position);
    }
    return clamped;
}

static Register here([](nb::module_ &m) {
    m.def("quantise", &quantise<float>, nb::arg("samples"), nb::arg("out"), nb::arg("bit_depth"), nb::arg("seed"),
          nb::arg("position"), "Round to k/2^(bit_depth-1) under TPDF dither; how many samples were clamped.");
    m.def("quantise", &quantise<double>, nb::arg("samples"), nb::arg("out"), nb::arg("bit_depth"), nb::arg("seed"),
          nb::arg("position"));
});

}  // namespace
