// The peaks between samples, exact wherever they can matter to a running maximum: what a limiter looks ahead for.
#pragma once

#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace {

#if defined(__GNUC__)
typedef float Lanes __attribute__((vector_size(32)));
#else
struct Lanes {
    float lane[8];
    float operator[](int j) const { return lane[j]; }
};
inline Lanes operator*(Lanes a, const Lanes &b) {
    for (int j = 0; j < 8; ++j) a.lane[j] *= b.lane[j];
    return a;
}
inline Lanes operator+(Lanes a, const Lanes &b) {
    for (int j = 0; j < 8; ++j) a.lane[j] += b.lane[j];
    return a;
}
inline Lanes &operator+=(Lanes &a, const Lanes &b) { return a = a + b; }
#endif

constexpr double kPi = 3.14159265358979323846;
constexpr int kTaps = 128, kPhases = 16, kHalf = kTaps / 2, kLevels = 4;  // kPhases = 2^kLevels
constexpr double kBeta = 8.0;
constexpr size_t kChunk = 4096;
constexpr size_t kSpan = 64;   // bounds of what a window contains are kept for spans this long; a window touches three
constexpr size_t kBlock = 16;  // intervals that share one threshold
constexpr size_t kMostNeighbours = 24;

double bessel(double x) {
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 60; ++k) {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
    }
    return sum;
}

// Kaiser-windowed sinc at the fractions k/kPhases between taps kHalf - 1 and kHalf, and how far it can bulge.
//
// Between two phases the interpolated curve differs from its chord by a filter without DC, which is a filter on second
// differences plus a trace of slope. Its L1 norm bounds the curve: |y| <= ends + bend * max|x''| + slack * max|x|. So
// whether a peak can hide between two phases is known without looking, and without an approximation.
struct Interpolator {
    std::vector<float> rows;
    std::array<float, kLevels> bend{};
    float slack = 0.0f;

    Interpolator() : rows(kTaps * kPhases) {
        std::vector<std::vector<double>> exact(kPhases + 1, std::vector<double>(kTaps, 0.0));
        exact[0][kHalf - 1] = exact[kPhases][kHalf] = 1.0;
        for (int k = 1; k < kPhases; ++k) {
            double sum = 0.0;
            for (int t = 0; t < kTaps; ++t) {
                const double x = t - (kHalf - 1) - static_cast<double>(k) / kPhases, r = x / kHalf;
                const double window = std::abs(r) < 1.0 ? bessel(kBeta * std::sqrt(1.0 - r * r)) / bessel(kBeta) : 0.0;
                exact[k][t] = std::sin(kPi * x) / (kPi * x) * window;
                sum += exact[k][t];
            }
            for (double &h : exact[k]) h /= sum;
        }
        for (int k = 0; k < kPhases; ++k)
            for (int t = 0; t < kTaps; ++t) rows[k * kTaps + t] = static_cast<float>(exact[k][t]);
        double slope = 0.0;
        for (int level = 0; level < kLevels; ++level) {
            const int width = kPhases >> level;
            double most = 0.0;
            for (int from = 0; from < kPhases; from += width)
                for (int k = 1; k < width; ++k) {
                    const double share = static_cast<double>(k) / width;
                    double once = 0.0, twice = 0.0, norm = 0.0;
                    for (int t = 0; t < kTaps - 2; ++t) {
                        once += exact[from + k][t] - (1.0 - share) * exact[from][t] - share * exact[from + width][t];
                        twice += once;
                        norm += std::abs(twice);
                    }
                    const int last = kTaps - 2;
                    once += exact[from + k][last] - (1.0 - share) * exact[from][last] - share * exact[from + width][last];
                    slope = std::max(slope, std::abs(twice + once));
                    most = std::max(most, norm);
                }
            bend[level] = static_cast<float>(most * (1.0 + 1e-6));
        }
        slack = static_cast<float>(2.0 * slope + 1e-5);  // the second part: single precision
    }
};

// Thirty-two running sums, in vectors by name: left to itself the compiler adds one by one.
INTO_CLONES float magnitude(const float *x, const float *row) {
    Lanes sums[4] = {};
    for (int t = 0; t < kTaps; t += 32)
        for (int j = 0; j < 4; ++j) {
            Lanes h, v;
            std::memcpy(&h, row + t + 8 * j, sizeof h);
            std::memcpy(&v, x + t + 8 * j, sizeof v);
            sums[j] += h * v;
        }
    const Lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return std::fabs(((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])));
}

// Largest magnitude of the phases between `from` and the next of the level, as far as it is above `best`: halved where
// something can hide, the half with the higher end first. rise: what each level may hide.
template <int level>
INTO_CLONES float highest(const float *x, const float *rows, const float *rise, int from, float left, float right,
                          float best) {
    if constexpr (level < kLevels) {
        if (std::max(left, right) + rise[level] <= best) return best;
        constexpr int half = kPhases >> (level + 1);
        const float middle = magnitude(x, rows + (from + half) * kTaps);
        best = std::max(best, middle);
        bool low = left > right;
        for (int side = 0; side < 2; ++side, low = !low)
            best = highest<level + 1>(x, rows, rise, low ? from : from + half, low ? left : middle,
                                      low ? middle : right, best);
    }
    return best;
}

VECTOR_CLONES void span_bounds(const float *x, size_t length, float *largest, float *sharpest) {
    for (size_t k = 0, start = 0; start < length; ++k, start += kSpan) {
        const size_t stop = std::min(start + kSpan, length);
        float top = 0.0f, bend = 0.0f;
        for (size_t i = start; i < stop; ++i) top = std::max(top, std::fabs(x[i]));
        // A second difference belongs to the span of each of its samples; the first and last have no neighbour to ask.
        const size_t first = start ? start - 1 : 0, last = std::min(stop + 1, length) - 2;
        for (size_t i = first; i < last; ++i) bend = std::max(bend, std::fabs(x[i] - 2.0f * x[i + 1] + x[i + 2]));
        largest[k] = top;
        sharpest[k] = bend;
    }
}

VECTOR_CLONES void raise(float *peaks, const float *x, size_t count) {
    for (size_t i = 0; i < count; ++i) peaks[i] = std::max(peaks[i], std::fabs(x[i]));
}

VECTOR_CLONES float largest_of(const float *x, size_t count) {
    float top = 0.0f;
    for (size_t i = 0; i < count; ++i) top = std::max(top, std::fabs(x[i]));
    return top;
}

// The intervals of one block whose bound is above `threshold`, in full; gives the largest peak of the block.
VECTOR_CLONES float block_peaks(const float *x, size_t count, const float *rows, const float *rise, float threshold,
                                float *peaks) {
    float top = 0.0f;
    for (size_t i = 0; i < count; ++i) {
        const float *window = x + i;
        const float left = std::fabs(window[kHalf - 1]), right = std::fabs(window[kHalf]);
        const float best = highest<0>(window, rows, rise, 0, left, right, threshold);
        if (best > threshold) peaks[i] = std::max(peaks[i], best);
        top = std::max(top, peaks[i]);
    }
    return top;
}

// The peaks between each sample and the next, exact wherever they can matter to a running maximum of `window` of them.
// Between `start` and the ceiling, where a knee acts and nothing has to be kept, those of the samples.
class Detector {
    float ceiling, start;
    size_t neighbours;
    std::vector<std::vector<float>> largest, sharpest;
    std::vector<float> tops;

  public:
    Detector(size_t channels, double ceiling_, double start_, size_t window)
        : ceiling(static_cast<float>(ceiling_)), start(static_cast<float>(start_)), neighbours(0),
          largest(channels, std::vector<float>((kChunk + kTaps) / kSpan + 3)), sharpest(largest),
          tops(kChunk / kBlock + 1) {
        const size_t half = (window - 1) / 2;
        if (half + 1 > kBlock) neighbours = std::min((half + 1 - kBlock) / kBlock, kMostNeighbours);
    }

    // heard: per channel, kTaps - 1 samples before the `count` new ones. False where nothing can exceed the start.
    bool find(const Interpolator &filter, const std::vector<const float *> &heard, size_t count, float *peaks) {
        const size_t length = count + kTaps - 1, spans = (length + kSpan - 1) / kSpan;
        bool any = false;
        for (size_t c = 0; c < heard.size(); ++c) {
            span_bounds(heard[c], length, largest[c].data(), sharpest[c].data());
            for (size_t k = 0; k < spans && !any; ++k) any = top(filter, c, k, spans) > start;
        }
        if (!any) return false;
        std::fill(peaks, peaks + count, 0.0f);
        for (const float *x : heard) raise(peaks, x + kHalf - 1, count);
        const size_t blocks = (count + kBlock - 1) / kBlock;
        for (size_t b = 0; b < blocks; ++b)
            tops[b] = largest_of(peaks + b * kBlock, std::min(kBlock, count - b * kBlock));
        for (size_t b = 0; b < blocks; ++b) {
            const size_t start = b * kBlock, width = std::min(kBlock, count - start), k = start / kSpan;
            float threshold = -1.0f;
            for (size_t c = 0; c < heard.size(); ++c) {
                const float ends = largest_of(heard[c] + start + kHalf - 1, width + 1);
                const float bend = widest(sharpest[c], k, spans), slack = filter.slack * widest(largest[c], k, spans);
                std::array<float, kLevels> rise;
                for (int level = 0; level < kLevels; ++level) rise[level] = filter.bend[level] * bend + slack;
                if (ends + rise[0] <= ceiling) continue;
                if (threshold < 0.0f) threshold = std::max(ceiling, outdone(b, blocks));
                if (ends + rise[0] <= threshold) continue;
                tops[b] = std::max(tops[b], block_peaks(heard[c] + start, width, filter.rows.data(), rise.data(),
                                                        threshold, peaks + start));
            }
        }
        return true;
    }

  private:
    static float widest(const std::vector<float> &bounds, size_t k, size_t spans) {
        float top = bounds[k];
        for (size_t j = k + 1; j < std::min(k + 3, spans); ++j) top = std::max(top, bounds[j]);
        return top;
    }

    float top(const Interpolator &filter, size_t c, size_t k, size_t spans) const {
        return widest(largest[c], k, spans) * (1.0f + filter.slack) + filter.bend[0] * widest(sharpest[c], k, spans);
    }

    // Any window around a block reaches over all its neighbours on one side at least: what is lower than a sample on
    // either side is never the highest of a window.
    float outdone(size_t b, size_t blocks) const {
        float before = 0.0f, after = 0.0f;
        for (size_t j = b - std::min(b, neighbours); j < b; ++j) before = std::max(before, tops[j]);
        for (size_t j = b + 1; j < std::min(b + 1 + neighbours, blocks); ++j) after = std::max(after, tops[j]);
        return std::min(before, after);
    }
};

}  // namespace
