// Gains against noise of known power: a log-spectral-amplitude estimator (Ephraim & Malah 1985; Cohen & Berdugo 2001)
// whose result tells a Wiener gain the SNR.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr double EULER = 0.57721566490153286;

// exp(E1(v) / 2) over log v: series below 1, continued fraction above, in a table.
struct HalfIntegral {
    static constexpr int SIZE = 4096;
    static constexpr double LOW = -14.0, HIGH = 4.0;  // ln v
    std::vector<float> table;
    HalfIntegral() : table(SIZE + 2) {
        for (int n = 0; n < SIZE + 2; ++n) table[n] = std::exp(0.5 * e1(std::exp(LOW + n * (HIGH - LOW) / SIZE)));
    }
    static double e1(double v) {
        if (v < 1.0) {
            double sum = -EULER - std::log(v), term = -1.0;
            for (int n = 1; n < 30; ++n) {
                term *= -v / n;
                sum += term / n;
            }
            return sum;
        }
        double tail = 0.0;  // Lentz from the end: E1 = exp(-v) / (v + 1/(1 + 1/(v + 2/(1 + 2/(v + ...
        for (int n = 60; n >= 1; --n) tail = n / (1.0 + n / (v + tail));
        return std::exp(-v) / (v + tail);
    }
    double operator()(double v) const {
        if (v >= 54.0) return 1.0;
        const double place = std::max(0.0, (std::log(v) - LOW) * (SIZE / (HIGH - LOW)));
        const int n = static_cast<int>(place);
        return table[n] + (place - n) * (table[n + 1] - table[n]);
    }
};

// Two passes. The first, decision-directed, says roughly what is there; its result, smoothed over neighbours in time and
// frequency, is the a-priori SNR of the second, which therefore lags behind no onset and lets no lone bin through. The
// second needs the frame after its own: gains come out one frame late.
struct NoiseGains {
    size_t bins, channels;
    double memory;                // of the decision-directed estimate
    std::vector<double> before;   // channels x bins: clean power of the last frame, re noise
    std::vector<double> slow;     // channels x bins: SNR over time, for presence
    std::vector<double> rough[3]; // channels x bins: first pass of the last frames, re noise, smoothed over bins
    HalfIntegral half;

    NoiseGains(size_t bins, int channels, double memory)
        : bins(bins), channels(channels), memory(memory), before(bins * channels, 0.0), slow(bins * channels, 0.0) {
        for (auto &frame : rough) frame.assign(bins * channels, 0.0);
    }

    double amplitude(double xi, double snr) const {
        const double wiener = xi / (1.0 + xi);
        return std::min(wiener * half(std::clamp(wiener * snr, 1e-6, 200.0)), 1.0);
    }

    // power: (channels, bins) of this frame; noise: (bins). gains: of the frame before. reach: bins of the wide window,
    // to either side.
    void process(Planar<double> power, Row<double> noise, double floor, int reach, double smoothing,
                 PlanarOut<double> gains) {
        nb::gil_scoped_release release;
        std::swap(rough[0], rough[1]);
        std::swap(rough[1], rough[2]);
        std::vector<double> snr(bins), running(bins + 1), first(bins);
        const double log_floor = std::log(floor);
        for (size_t c = 0; c < channels; ++c) {
            const double *x = power.data() + c * bins;
            double *g = gains.data() + c * bins, *was = &before[c * bins], *over_time = &slow[c * bins];
            running[0] = 0.0;
            for (size_t k = 0; k < bins; ++k) {
                snr[k] = std::min(x[k] / noise.data()[k], 1e20);
                const double now = std::max(snr[k] - 1.0, 0.0);
                over_time[k] = smoothing * over_time[k] + (1.0 - smoothing) * std::min(now, 1e4) + 1e-30;
                running[k + 1] = running[k] + over_time[k];
            }
            for (size_t k = 0; k < bins; ++k) {
                const double xi = std::max(memory * was[k] + (1.0 - memory) * std::max(snr[k] - 1.0, 0.0), 1e-3);
                const double full = amplitude(xi, snr[k]), v = std::min(xi / (1.0 + xi) * snr[k], 200.0);
                // Presence: what this bin's neighbours, near and far, have shown over the last frames.
                const double absent = std::min(1.0 - share(mean(running, k, 1)) * share(mean(running, k, reach)), 0.95);
                const double present = 1.0 / (1.0 + absent / (1.0 - absent) * (1.0 + xi) * std::exp(-v));
                const double gain = std::exp(present * std::log(std::max(full, 1e-6)) + (1.0 - present) * log_floor);
                was[k] = std::min(full * full * snr[k], 1e8) + 1e-30;
                first[k] = present > 0.5 ? gain * gain * snr[k] : 0.0;
            }
            double *newest = &rough[2][c * bins], *middle = &rough[1][c * bins], *oldest = &rough[0][c * bins];
            for (size_t k = 0; k < bins; ++k) {
                const double below = first[k ? k - 1 : k], above = first[k + 1 < bins ? k + 1 : k];
                newest[k] = 0.25 * below + 0.5 * first[k] + 0.25 * above;
            }
            for (size_t k = 0; k < bins; ++k) {
                const double xi = std::max(0.25 * oldest[k] + 0.5 * middle[k] + 0.25 * newest[k], 1e-3);
                g[k] = std::max(xi / (1.0 + xi), floor);
            }
        }
    }

    // 0 where the SNR is that of noise alone, 1 from 5 dB on; between them by its logarithm (Cohen & Berdugo, eq. 24).
    static double share(double snr) {
        constexpr double LOWEST = 0.1, HIGHEST = 3.1623;
        return std::clamp(std::log(std::max(snr, 1e-9) / LOWEST) / std::log(HIGHEST / LOWEST), 0.0, 1.0);
    }

    double mean(const std::vector<double> &running, size_t k, int reach) const {
        const size_t low = k > static_cast<size_t>(reach) ? k - reach : 0, high = std::min(bins, k + reach + 1);
        return (running[high] - running[low]) / static_cast<double>(high - low);
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<NoiseGains>(m, "NoiseGains")
        .def(nb::init<size_t, int, double>(), nb::arg("bins"), nb::arg("channels"), nb::arg("memory"))
        .def("process", &NoiseGains::process, nb::arg("power"), nb::arg("noise"), nb::arg("floor"), nb::arg("reach"),
             nb::arg("smoothing"), nb::arg("gains"));
});

}  // namespace
