// Linear prediction of sound: see the header.
#include "prediction.hpp"

#include "lanes.hpp"

#include <algorithm>
#include <cmath>

namespace prediction {

constexpr size_t BLOCK = 512, LAGS = 4;
constexpr double WHITE = 1e-6;  // of the power, so that a recursion on a band-limited sound stays stable

// Adds the products of `count` samples at LAGS lags from the first, which share what is loaded.
template <size_t LAGS, class T> INTO_CLONES void correlate_block(const T *x, size_t count, size_t first, double *r) {
    constexpr size_t LANES = 64 / sizeof(T);
    T lanes[LAGS][LANES] = {};
    size_t n = 0;
    for (; n + LANES <= count; n += LANES)
        for (size_t lag = 0; lag < LAGS; ++lag)
            for (size_t i = 0; i < LANES; ++i)
                lanes[lag][i] += x[n + i] * x[n + i + first + lag];
    for (size_t lag = 0; lag < LAGS; ++lag) {
        double sum = static_cast<double>(sum_of(lanes[lag]));
        for (size_t m = n; m < count; ++m)
            sum += static_cast<double>(x[m] * x[m + first + lag]);
        r[first + lag] += sum;
    }
}

VECTOR_CLONES void correlate(const float *x, size_t count, double *r) {
    static_assert(SCREEN_ORDER % LAGS == 0);
    std::fill(r, r + SCREEN_ORDER + 1, 0.0);
    for (size_t start = 0; start + BLOCK <= count; start += BLOCK) {
        for (size_t lag = 0; lag < SCREEN_ORDER; lag += LAGS)
            correlate_block<LAGS>(x + start, BLOCK, lag, r);
        correlate_block<1>(x + start, BLOCK, SCREEN_ORDER, r);
    }
}

// Of all pairs of samples, whatever the lag.
VECTOR_CLONES void correlate_all(const double *x, size_t count, double *r) {
    static_assert(ORDER % LAGS == 0);
    std::fill(r, r + ORDER + 1, 0.0);
    for (size_t lag = 0; lag < ORDER; lag += LAGS) {
        correlate_block<LAGS>(x, count - lag - LAGS + 1, lag, r);
        for (size_t k = 0; k < LAGS; ++k)  // the shorter lags have a few pairs more
            for (size_t n = count - lag - LAGS + 1; n + lag + k < count; ++n)
                r[lag + k] += x[n] * x[n + lag + k];
    }
    correlate_block<1>(x, count - ORDER, ORDER, r);
}

// g is what the sum of the covariance matrix and the same one turned round makes of (1, a1 ... ap, 0): its products with
// these and with their reverse are the energy and twice the product of both errors, negated of which is the reflection. A
// step loses one sample at either end.
bool burg(const double *x, size_t count, double *a) {
    double c[ORDER + 1], r[ORDER + 2], g[ORDER + 2], next[ORDER + 2];
    correlate_all(x, count, c);
    std::fill(a, a + ORDER + 1, 0.0);
    a[0] = 1.0;
    if (!(c[0] > 0.0))
        return false;
    r[1] = 2.0 * c[1];
    g[0] = 2.0 * c[0] - x[0] * x[0] - x[count - 1] * x[count - 1];
    g[1] = r[1];
    for (size_t p = 0; p < ORDER; ++p) {
        const size_t size = p + 2;  // of g, and of a with the 0 behind it
        double cross = 0.0, energy = 0.0;
        for (size_t i = 0; i <= p; ++i) {
            cross += a[i] * g[size - 1 - i];
            energy += a[i] * g[i];
        }
        if (!(energy > 0.0))
            return p > 0;
        const double k = std::clamp(-cross / energy, -0.9999999, 0.9999999);
        for (size_t i = 0; i < size; ++i)
            next[i] = a[i] + k * a[size - 1 - i];
        std::copy(next, next + size, a);
        if (p + 1 == ORDER)
            break;
        const double *first = x + p + 1, *last = x + count - size;  // what is lost: first[-i] and last[i]
        double by_first = 0.0, by_last = 0.0, newest = 0.0;
        for (size_t i = 0; i < size; ++i) {
            by_first += *(first - i) * a[i];
            by_last += last[i] * a[i];
        }
        for (size_t i = 0; i < size; ++i)
            next[i] = g[i] + k * g[size - 1 - i] - *(first - i) * by_first - last[i] * by_last;
        for (size_t q = 1; q < size; ++q)
            r[q] -= last[0] * last[q] + first[0] * *(first - q);
        r[size] = 2.0 * c[size];
        for (size_t i = 0; i < size; ++i)
            newest += r[size - i] * a[i];
        std::copy(next, next + size, g);
        g[size] = newest;
    }
    return true;
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

static Register here([](nb::module_ &m) {
    m.def("short_burg", [](Row<double> samples, RowOut<double> model) {
        if (samples.shape(0) <= ORDER || model.shape(0) != ORDER + 1)
            throw nb::value_error("short_burg: more than 32 samples, and room for 33 coefficients");
        nb::gil_scoped_release release;
        return burg(samples.data(), samples.shape(0), model.data());
    }, nb::arg("samples"), nb::arg("model"));
});

}  // namespace prediction
