// The largest absolute value of a band-limited interpolation, computed only where it can beat what is known.
//
// y(n + p/8) = sum of 128 taps. For every phase the taps are split, exactly, into a cubic through the four nearest
// samples + a filter q on the fourth difference + a remainder:
//     |y| <= |cubic| + sum over groups of ||q|| * ||fourth difference|| + ||remainder||_1 * sample peak
// (Cauchy-Schwarz in groups of 16 samples). Music bends little between its samples, so the bound is tight and the
// 128 taps are summed for few of them; noise and loud high tones pay the full price. The result is the same.
#include "kernels.hpp"
#include "lanes.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace {

constexpr int TAPS = 128, PHASES = 8, HELD = TAPS - 1;
constexpr int GROUP = 16;
constexpr int GROUPS = 9;                   // that a window of fourth differences can touch
constexpr int CENTRE = TAPS / 2 - 1;        // the sample before the interval
constexpr int CHUNK = 4096;
constexpr int PADDING = 2 * GROUP;          // reads of the last, incomplete group

struct Design {
    std::array<double, TAPS * PHASES> taps;         // tap-major
    std::array<double, 4 * PHASES> cubic;           // tap-major
    std::array<double, GROUPS> bend;                // ||q|| by group, the largest of phases and alignments
    double remainder;
};

inline double larger(double a, double b) { return a > b ? a : b; }

// The interpolation itself, all phases of one interval; the order of the sums is fixed.
inline double interpolate(const double *x, const double *taps) {
    double sums[4][PHASES] = {};
    for (int m = 0; m < TAPS; m += 4)
        for (int j = 0; j < 4; ++j)
            for (int p = 0; p < PHASES; ++p) sums[j][p] += taps[(m + j) * PHASES + p] * x[m + j];
    double magnitude[PHASES];
    for (int p = 0; p < PHASES; ++p)
        magnitude[p] = std::fabs((sums[0][p] + sums[1][p]) + (sums[2][p] + sums[3][p]));
    return highest_of(magnitude);
}

inline double cubic_peak(const double *x, const double *cubic) {
    double magnitude[PHASES];
    for (int p = 0; p < PHASES; ++p)
        magnitude[p] = std::fabs(cubic[p] * x[0] + cubic[PHASES + p] * x[1] + cubic[2 * PHASES + p] * x[2] +
                                 cubic[3 * PHASES + p] * x[3]);
    return highest_of(magnitude);
}

// sqrt of the energy of the fourth difference, by groups.
inline void bends(const double *x, size_t groups, double *out) {
    for (size_t g = 0; g < groups; ++g, x += GROUP) {
        double sums[4] = {};
        for (int n = 0; n < GROUP; n += 4)
            for (int j = 0; j < 4; ++j) {
                const double *v = x + n + j;
                const double e = (v[0] + v[4]) - 4.0 * (v[1] + v[3]) + 6.0 * v[2];
                sums[j] += e * e;
            }
        out[g] = std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
}

// No cubic through these samples leaves them by more than an eighth of the largest second difference.
inline double cubic_bound(const double *x) {
    double level[4] = {}, bend[4] = {};
    for (int n = 0; n < GROUP + 4; n += 4)
        for (int j = 0; j < 4; ++j) {
            const double *v = x + n + j;
            level[j] = larger(std::fabs(v[1]), level[j]);
            bend[j] = larger(std::fabs((v[0] + v[2]) - 2.0 * v[1]), bend[j]);
        }
    return highest_of(level) + 0.125 * highest_of(bend);
}

// `intervals` of them, the first one in the middle of x[0..127]; `peak` and what else is larger comes back.
VECTOR_CLONES
double scan(const double *x, size_t intervals, const Design &design, double peak) {
    double bend[CHUNK / GROUP + GROUPS];
    bends(x, (intervals + GROUP - 1) / GROUP + GROUPS - 1, bend);
    const double slack = 1.0 - design.remainder;
    for (size_t start = 0; start < intervals; start += GROUP) {
        double far = 0.0;
        for (int g = 0; g < GROUPS; ++g) far += design.bend[g] * bend[start / GROUP + g];
        if (cubic_bound(x + start + CENTRE - 1) + far <= slack * peak) continue;
        const size_t end = std::min(start + GROUP, intervals);
        for (size_t i = start; i < end; ++i)
            if (cubic_peak(x + i + CENTRE - 1, design.cubic.data()) + far > slack * peak)
                peak = larger(interpolate(x + i, design.taps.data()), peak);
    }
    return peak;
}

template <class T> double sample_peak(const T *x, size_t samples) {
    T lanes[8] = {};
    size_t n = 0;
    for (; n + 8 <= samples; n += 8)
        for (int j = 0; j < 8; ++j) {
            const T v = std::fabs(x[n + j]);
            lanes[j] = v > lanes[j] ? v : lanes[j];
        }
    double top = highest_of(lanes);
    for (; n < samples; ++n) top = larger(std::fabs(x[n]), top);
    return top;
}

struct Channel {
    std::vector<double> window = std::vector<double>(HELD + CHUNK + PADDING, 0.0);  // silence before the start
    double sample_peak = 0.0, true_peak = 0.0;

    // `count` samples stand behind the held ones in the window.
    void advance(size_t count, const Design &design) {
        std::fill_n(window.begin() + HELD + count, PADDING, 0.0);
        true_peak = scan(window.data(), count, design, true_peak);
        std::copy_n(window.begin() + count, HELD, window.begin());
    }
};

struct TruePeaks {
    Design design;
    std::vector<Channel> channels;

    TruePeaks(Planar<double> taps, Planar<double> cubic, Row<double> bend, double remainder, int count)
        : channels(count) {
        std::copy_n(taps.data(), design.taps.size(), design.taps.begin());
        std::copy_n(cubic.data(), design.cubic.size(), design.cubic.begin());
        std::copy_n(bend.data(), design.bend.size(), design.bend.begin());
        design.remainder = remainder;
    }

    template <class T> void process(Planar<T> in) {
        const size_t samples = in.shape(1);
        const T *x = in.data();
        nb::gil_scoped_release release;
        for (Channel &channel : channels) {
            channel.sample_peak = larger(sample_peak(x, samples), channel.sample_peak);
            // The samples themselves count, and the sooner the peak is high the more is skipped.
            channel.true_peak = larger(channel.sample_peak, channel.true_peak);
            for (size_t start = 0; start < samples; start += CHUNK) {
                const size_t count = std::min<size_t>(CHUNK, samples - start);
                std::copy_n(x + start, count, channel.window.begin() + HELD);
                channel.advance(count, design);
            }
            x += samples;
        }
    }

    // Sample peak and true peak of every channel as if silence followed; the stream itself goes on untouched.
    void peaks(RowOut<double> sample_peaks, RowOut<double> true_peaks) const {
        for (size_t c = 0; c < channels.size(); ++c) {
            Channel ended = channels[c];
            std::fill_n(ended.window.begin() + HELD, HELD, 0.0);
            ended.advance(HELD, design);
            sample_peaks.data()[c] = ended.sample_peak;
            true_peaks.data()[c] = ended.true_peak;
        }
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<TruePeaks>(m, "TruePeaks")
        .def(nb::init<Planar<double>, Planar<double>, Row<double>, double, int>(), nb::arg("taps"), nb::arg("cubic"),
             nb::arg("bend"), nb::arg("remainder"), nb::arg("channels"))
        .def("process", &TruePeaks::process<float>)
        .def("process", &TruePeaks::process<double>)
        .def("peaks", &TruePeaks::peaks);
});

}  // namespace
