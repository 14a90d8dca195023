// Frames of a stream under a window, and what their spectra say of mid, side and their product.
#include "kernels.hpp"

namespace {

template <class T>
inline void window_frames(const T *block, size_t channels, size_t samples, const int64_t *starts, size_t frames,
                          const T *window, size_t size, T *out) {
    for (size_t c = 0; c < channels; ++c)
        for (size_t f = 0; f < frames; ++f) {
            const T *from = block + c * samples + starts[f];
            T *to = out + (c * frames + f) * size;
            for (size_t n = 0; n < size; ++n) to[n] = from[n] * window[n];
        }
}

VECTOR_CLONES void window_f(const float *b, size_t c, size_t s, const int64_t *at, size_t f, const float *w, size_t n,
                            float *o) {
    window_frames(b, c, s, at, f, w, n, o);
}
VECTOR_CLONES void window_d(const double *b, size_t c, size_t s, const int64_t *at, size_t f, const double *w, size_t n,
                            double *o) {
    window_frames(b, c, s, at, f, w, n, o);
}

// Power of mid, side and mid times side in each bin of one frame; left and right as (real, imaginary) pairs. One channel
// is its own mid.
template <class T>
inline void fold(const T *left, const T *right, size_t bins, T *mid, T *side, T *cross) {
    for (size_t k = 0; k < bins; ++k) {
        const T a = left[2 * k], b = left[2 * k + 1], c = right[2 * k], d = right[2 * k + 1];
        // Sums before squares: a side far below the mid keeps its digits, and equal channels have none.
        const T m = a + c, n = b + d, s = a - c, t = b - d;
        mid[k] = T(0.25) * (m * m + n * n);
        side[k] = T(0.25) * (s * s + t * t);
        cross[k] = T(0.25) * (m * s + n * t);
    }
    for (T *power : {mid, side, cross}) {  // the two bins without a mirror image
        power[0] *= T(0.5);
        power[bins - 1] *= T(0.5);
    }
}

// In double and in eight parts, which fit into vectors.
template <class T> inline double sum(const T *values, int64_t count) {
    double part[8] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    int64_t n = 0;
    for (; n + 8 <= count; n += 8)
        for (int i = 0; i < 8; ++i) part[i] += static_cast<double>(values[n + i]);
    for (; n < count; ++n) part[n % 8] += static_cast<double>(values[n]);
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

// A band is bins first to last of one power, those two by a share.
struct Bands {
    const int64_t *power, *first, *last;
    const double *first_share, *last_share;
    size_t count;
};

template <class T>
inline void measure(const T *spectra, size_t channels, size_t frames, size_t bins, const Bands &bands, double *totals,
                    float *out, T *scratch) {
    for (size_t f = 0; f < frames; ++f) {
        const T *left = spectra + f * 2 * bins, *right = spectra + ((channels - 1) * frames + f) * 2 * bins;
        fold(left, right, bins, scratch, scratch + bins, scratch + 2 * bins);
        if (totals)
            for (size_t k = 0; k < 3 * bins; ++k) totals[k] += static_cast<double>(scratch[k]);
        for (size_t b = 0; b < bands.count; ++b) {
            const T *power = scratch + bands.power[b] * bins;
            const int64_t first = bands.first[b], last = bands.last[b];
            double level = 0.0;
            if (first <= last) level = bands.first_share[b] * static_cast<double>(power[first]);
            if (first < last)
                level += sum(power + first + 1, last - first - 1) +
                         bands.last_share[b] * static_cast<double>(power[last]);
            out[f * bands.count + b] = static_cast<float>(level);
        }
    }
}

VECTOR_CLONES void measure_f(const float *s, size_t c, size_t f, size_t k, const Bands &b, double *t, float *o,
                             float *room) {
    measure(s, c, f, k, b, t, o, room);
}
VECTOR_CLONES void measure_d(const double *s, size_t c, size_t f, size_t k, const Bands &b, double *t, float *o,
                             double *room) {
    measure(s, c, f, k, b, t, o, room);
}

template <class T>
void windowed(Planar<T> block, Row<int64_t> starts, Row<T> window, nb::ndarray<T, nb::ndim<3>, nb::c_contig> out) {
    nb::gil_scoped_release release;
    if constexpr (sizeof(T) == sizeof(float))
        window_f(block.data(), block.shape(0), block.shape(1), starts.data(), starts.shape(0), window.data(),
                 window.shape(0), out.data());
    else
        window_d(block.data(), block.shape(0), block.shape(1), starts.data(), starts.shape(0), window.data(),
                 window.shape(0), out.data());
}

template <class T>
void band_powers(nb::ndarray<const T, nb::ndim<3>, nb::c_contig> spectra, Row<int64_t> power, Row<int64_t> first,
                 Row<int64_t> last, Row<double> first_share, Row<double> last_share, PlanarOut<double> totals,
                 PlanarOut<float> out) {
    const size_t channels = spectra.shape(0), frames = spectra.shape(1), bins = spectra.shape(2) / 2;
    const Bands bands{power.data(),       first.data(),      last.data(),
                      first_share.data(), last_share.data(), power.shape(0)};
    double *sums = totals.shape(1) ? totals.data() : nullptr;
    nb::gil_scoped_release release;
    std::vector<T> scratch(3 * bins);
    if constexpr (sizeof(T) == sizeof(float))
        measure_f(spectra.data(), channels, frames, bins, bands, sums, out.data(), scratch.data());
    else
        measure_d(spectra.data(), channels, frames, bins, bands, sums, out.data(), scratch.data());
}

static Register here([](nb::module_ &m) {
    m.def("windowed", &windowed<float>, nb::arg("block"), nb::arg("starts"), nb::arg("window"), nb::arg("out"),
          "Frames of a block (channels, samples) under a window, into (channels, frames, size).");
    m.def("windowed", &windowed<double>, nb::arg("block"), nb::arg("starts"), nb::arg("window"), nb::arg("out"));
    m.def("band_powers", &band_powers<float>, nb::arg("spectra"), nb::arg("power"), nb::arg("first"), nb::arg("last"),
          nb::arg("first_share"), nb::arg("last_share"), nb::arg("totals"), nb::arg("out"),
          "Spectra of one or two channels (channels, frames, 2 * bins as pairs) to band powers (frames, bands) of mid "
          "(power 0), side (1) and mid times side (2); adds each bin to totals (3, bins), where that has bins.");
    m.def("band_powers", &band_powers<double>, nb::arg("spectra"), nb::arg("power"), nb::arg("first"), nb::arg("last"),
          nb::arg("first_share"), nb::arg("last_share"), nb::arg("totals"), nb::arg("out"));
});

}  // namespace
