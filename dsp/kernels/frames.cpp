// Between the interleaved frames of files and our planes; each way tells the first frame that is not finite.
#include "kernels.hpp"

#include <cmath>
#include <limits>

namespace {

template <class T> using Frames = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using FramesOut = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Branch-free, unlike std::isfinite, so that the loops around it vectorise.
template <class T> inline bool unfit(T x) { return !(std::fabs(x) <= std::numeric_limits<T>::max()); }

// `convert` goes over planes and frames at once: to(plane[n], frame[n * channels + c]).
template <class In, class Out, class Convert>
inline bool to_frames(const In *planes, Out *frames, size_t channels, size_t samples, Convert convert) {
    bool bad = false;
    if (channels == 2) {  // both at once: one pass over the frames, and it vectorises
        const In *left = planes, *right = planes + samples;
        for (size_t n = 0; n < samples; ++n) {
            bad |= unfit(left[n]) | unfit(right[n]);
            frames[2 * n] = convert(left[n]);
            frames[2 * n + 1] = convert(right[n]);
        }
        return bad;
    }
    for (size_t c = 0; c < channels; ++c)
        for (size_t n = 0; n < samples; ++n) {
            bad |= unfit(planes[c * samples + n]);
            frames[n * channels + c] = convert(planes[c * samples + n]);
        }
    return bad;
}

template <class T> inline bool to_planes(const T *frames, T *planes, size_t channels, size_t samples) {
    bool bad = false;
    if (channels == 2) {
        T *left = planes, *right = planes + samples;
        for (size_t n = 0; n < samples; ++n) {
            bad |= unfit(frames[2 * n]) | unfit(frames[2 * n + 1]);
            left[n] = frames[2 * n];
            right[n] = frames[2 * n + 1];
        }
        return bad;
    }
    for (size_t c = 0; c < channels; ++c)
        for (size_t n = 0; n < samples; ++n) {
            bad |= unfit(frames[n * channels + c]);
            planes[c * samples + n] = frames[n * channels + c];
        }
    return bad;
}

template <class T>
inline bool to_pcm(const T *planes, int32_t *frames, size_t channels, size_t samples, int bit_depth) {
    const double steps = static_cast<double>(int64_t{1} << (bit_depth - 1));
    const double lowest = -steps, highest = steps - 1.0;
    const double nearest = 6755399441055744.0;  // 1.5 * 2^52: rounds halves to even
    const uint32_t left_justify = uint32_t{1} << (32 - bit_depth);
    return to_frames(planes, frames, channels, samples, [=](T x) {
        double v = x * steps;
        v = v >= lowest ? v : lowest;  // NaN goes here too: it must not reach the integer
        v = v <= highest ? v : highest;
        return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int32_t>((v + nearest) - nearest)) *
                                    left_justify);
    });
}

template <class T> inline bool to_float(const T *planes, float *frames, size_t channels, size_t samples) {
    return to_frames(planes, frames, channels, samples, [](T x) { return static_cast<float>(x); });
}

VECTOR_CLONES bool planes_f(const float *f, float *p, size_t c, size_t n) { return to_planes(f, p, c, n); }
VECTOR_CLONES bool planes_d(const double *f, double *p, size_t c, size_t n) { return to_planes(f, p, c, n); }
VECTOR_CLONES bool pcm_f(const float *p, int32_t *f, size_t c, size_t n, int b) { return to_pcm(p, f, c, n, b); }
VECTOR_CLONES bool pcm_d(const double *p, int32_t *f, size_t c, size_t n, int b) { return to_pcm(p, f, c, n, b); }
VECTOR_CLONES bool float_f(const float *p, float *f, size_t c, size_t n) { return to_float(p, f, c, n); }
VECTOR_CLONES bool float_d(const double *p, float *f, size_t c, size_t n) { return to_float(p, f, c, n); }

template <class T> int64_t first_unfit(const T *planes, size_t channels, size_t samples) {
    for (size_t n = 0; n < samples; ++n)
        for (size_t c = 0; c < channels; ++c)
            if (unfit(planes[c * samples + n])) return static_cast<int64_t>(n);
    return -1;
}

template <class T> int64_t deinterleave(Frames<T> frames, PlanarOut<T> planes) {
    const size_t samples = frames.shape(0), channels = frames.shape(1);
    nb::gil_scoped_release release;
    bool bad;
    if constexpr (sizeof(T) == sizeof(float))
        bad = planes_f(frames.data(), planes.data(), channels, samples);
    else
        bad = planes_d(frames.data(), planes.data(), channels, samples);
    return bad ? first_unfit(planes.data(), channels, samples) : -1;
}

template <class T> int64_t interleave_pcm(Planar<T> planes, FramesOut<int32_t> frames, int bit_depth) {
    const size_t channels = planes.shape(0), samples = planes.shape(1);
    nb::gil_scoped_release release;
    bool bad;
    if constexpr (sizeof(T) == sizeof(float))
        bad = pcm_f(planes.data(), frames.data(), channels, samples, bit_depth);
    else
        bad = pcm_d(planes.data(), frames.data(), channels, samples, bit_depth);
    return bad ? first_unfit(planes.data(), channels, samples) : -1;
}

template <class T> int64_t interleave_float(Planar<T> planes, FramesOut<float> frames) {
    const size_t channels = planes.shape(0), samples = planes.shape(1);
    nb::gil_scoped_release release;
    bool bad;
    if constexpr (sizeof(T) == sizeof(float))
        bad = float_f(planes.data(), frames.data(), channels, samples);
    else
        bad = float_d(planes.data(), frames.data(), channels, samples);
    return bad ? first_unfit(planes.data(), channels, samples) : -1;
}

static Register here([](nb::module_ &m) {
    m.def("deinterleave", &deinterleave<float>, nb::arg("frames"), nb::arg("planes"),
          "Frames (samples, channels) to planes; the first frame with NaN or infinity, or -1.");
    m.def("deinterleave", &deinterleave<double>, nb::arg("frames"), nb::arg("planes"));
    m.def("interleave_pcm", &interleave_pcm<float>, nb::arg("planes"), nb::arg("frames"), nb::arg("bit_depth"),
          "Planes to left-justified int32 frames, nearest step, clamped; the first frame not finite, or -1.");
    m.def("interleave_pcm", &interleave_pcm<double>, nb::arg("planes"), nb::arg("frames"), nb::arg("bit_depth"));
    m.def("interleave_float", &interleave_float<float>, nb::arg("planes"), nb::arg("frames"),
          "Planes to float32 frames; the first frame not finite, or -1.");
    m.def("interleave_float", &interleave_float<double>, nb::arg("planes"), nb::arg("frames"));
});

}  // namespace
