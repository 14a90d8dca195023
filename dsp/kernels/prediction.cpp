// Linear prediction of sound: see the header.
#include "prediction.hpp"

#include "lanes.hpp"

#include <algorithm>
#include <cmath>

namespace prediction {

constexpr size_t BLOCK = 512;
constexpr double WHITE = 1e-6;  // of the power, so that a recursion on a band-limited sound stays stable

// Adds the products of a block at LAGS lags from the first, which share what is loaded.
template <size_t LAGS> INTO_CLONES void correlate_block(const float *x, size_t first, double *r) {
    constexpr size_t LANES = 16;
    float lanes[LAGS][LANES] = {};
    for (size_t n = 0; n < BLOCK; n += LANES)
        for (size_t lag = 0; lag < LAGS; ++lag)
            for (size_t i = 0; i < LANES; ++i)
                lanes[lag][i] += x[n + i] * x[n + i + first + lag];
    for (size_t lag = 0; lag < LAGS; ++lag)
        r[first + lag] += static_cast<double>(sum_of(lanes[lag]));
}

VECTOR_CLONES void correlate(const float *x, size_t count, double *r) {
    constexpr size_t LAGS = 4;
    static_assert(SCREEN_ORDER % LAGS == 0);
    std::fill(r, r + SCREEN_ORDER + 1, 0.0);
    for (size_t start = 0; start + BLOCK <= count; start += BLOCK) {
        for (size_t lag = 0; lag < SCREEN_ORDER; lag += LAGS)
            correlate_block<LAGS>(x + start, lag, r);
        correlate_block<1>(x + start, SCREEN_ORDER, r);
    }
}

// By stripes, the last of them drawn back to the end.
template <class T> INTO_CLONES void predict_inline(const T *x, const T *a, size_t order, T *e, size_t count) {
    constexpr size_t STRIPE = 256 / sizeof(T);
    if (count < STRIPE) {
        for (size_t n = 0; n < count; ++n) {
            T sum = 0;
            for (size_t k = 0; k <= order; ++k)
                sum += a[k] * x[static_cast<ptrdiff_t>(n) - static_cast<ptrdiff_t>(k)];
            e[n] = sum;
        }
        return;
    }
    for (size_t done = 0; done < count; done += STRIPE) {
        const size_t start = std::min(done, count - STRIPE);
        T sum[STRIPE] = {};
        for (size_t k = 0; k <= order; ++k) {
            const T *from = x + start - k;
            for (size_t i = 0; i < STRIPE; ++i)
                sum[i] += a[k] * from[i];
        }
        for (size_t i = 0; i < STRIPE; ++i)
            e[start + i] = sum[i];
    }
}
VECTOR_CLONES void predict(const double *x, const double *a, double *e, size_t count) {
    predict_inline<double>(x, a, ORDER, e, count);
}
VECTOR_CLONES void predict(const float *x, const float *a, float *e, size_t count) {
    predict_inline<float>(x, a, SCREEN_ORDER + 1, e, count);
}

template <class T> INTO_CLONES T highest_inline(const T *x, size_t count) {
    constexpr size_t LANES = 32;
    T lanes[LANES] = {};
    size_t n = 0;
    for (; n + LANES <= count; n += LANES)
        for (size_t i = 0; i < LANES; ++i) {
            const T v = std::abs(x[n + i]);
            lanes[i] = v > lanes[i] ? v : lanes[i];
        }
    T top = highest_of(lanes);
    for (; n < count; ++n)
        top = std::max(top, std::abs(x[n]));
    return top;
}
VECTOR_CLONES double highest(const double *x, size_t count) { return highest_inline(x, count); }
VECTOR_CLONES float highest(const float *x, size_t count) { return highest_inline(x, count); }

VECTOR_CLONES void brighten(const float *x, float *y, size_t count) {
    for (size_t n = 0; n < count; ++n)
        y[n] = x[n] - 0.9f * x[static_cast<ptrdiff_t>(n) - 1];
}

double levinson(const double *r, double *a) {
    std::fill(a, a + SCREEN_ORDER + 1, 0.0);
    a[0] = 1.0;
    double error = r[0] * (1.0 + WHITE) + 1e-30;
    for (size_t p = 1; p <= SCREEN_ORDER; ++p) {
        double sum = 0.0;
        for (size_t k = 0; k < p; ++k)
            sum += a[k] * r[p - k];
        const double reflection = -sum / error;
        for (size_t k = 1, m = p - 1; k <= m; ++k, --m) {
            const double low = a[k], high = a[m];
            a[k] = low + reflection * high;
            if (k != m)
                a[m] = high + reflection * low;
        }
        a[p] = reflection;
        error *= 1.0 - reflection * reflection;
        if (!(error > 0.0))
            return 0.0;
    }
    return error;
}

}  // namespace prediction
