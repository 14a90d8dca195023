// Autoregressive models: fitted by Burg's recursion over several stretches, and used to fill in what is missing.
#include "autoregression.hpp"

#include "lanes.hpp"

#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>

namespace autoregression {

constexpr size_t LANES = 16;

VECTOR_CLONES double dot(const double *a, const double *b, size_t count) {
    double lanes[LANES] = {};
    size_t n = 0;
    for (; n + LANES <= count; n += LANES)
        for (size_t i = 0; i < LANES; ++i)
            lanes[i] += a[n + i] * b[n + i];
    double sum = sum_of(lanes);
    for (; n < count; ++n)
        sum += a[n] * b[n];
    return sum;
}

VECTOR_CLONES void add_scaled(double *y, const double *x, double scale, size_t count) {
    for (size_t n = 0; n < count; ++n)
        y[n] += scale * x[n];
}

// One step of the lattice: forward and backward errors of the next order, written over those of the last. Returns the sum
// of their squares.
VECTOR_CLONES double lattice(double *forward, double *backward, double k, size_t count) {
    double lanes[LANES] = {};
    size_t n = 0;
    for (; n + LANES <= count; n += LANES)
        for (size_t i = 0; i < LANES; ++i) {
            const double f = forward[n + i], b = backward[n + i];
            const double next_f = f + k * b, next_b = b + k * f;
            forward[n + i] = next_f;
            backward[n + i] = next_b;
            lanes[i] += next_f * next_f + next_b * next_b;
        }
    double sum = sum_of(lanes);
    for (; n < count; ++n) {
        const double f = forward[n], b = backward[n];
        forward[n] = f + k * b;
        backward[n] = b + k * f;
        sum += forward[n] * forward[n] + backward[n] * backward[n];
    }
    return sum;
}

// Coefficients (1, a1 ... ap) of the next order by Levinson's step.
void raise_order(Vector &a, Vector &scratch, double k) {
    a.push_back(0.0);
    scratch.assign(a.rbegin(), a.rend());
    add_scaled(a.data(), scratch.data(), k, a.size());
}

// Burg's method with the errors of all stretches summed; returns the mean squared prediction error.
double burg(const std::vector<Stretch> &stretches, size_t order, Vector &a) {
    std::vector<Vector> forward, backward;
    Vector squares;  // of both errors of each stretch that the next order looks at
    double power = 0.0, total = 0.0;
    for (auto [x, count] : stretches) {
        forward.emplace_back(x, x + count);
        backward.emplace_back(x, x + count);
        squares.push_back(2.0 * dot(x, x, count));
        power += 0.5 * squares.back();
        total += static_cast<double>(count);
    }
    a.assign(1, 1.0);
    Vector scratch;
    double error = total > 0.0 ? power / total : 0.0;
    for (size_t p = 1; p <= order && error > 0.0; ++p) {
        double cross = 0.0, energy = 0.0;
        for (size_t s = 0; s < forward.size(); ++s) {
            if (forward[s].size() <= p)
                continue;
            // forward starts at sample p, backward at sample 0: both have size - p members.
            const size_t count = forward[s].size() - p;
            const double *f = forward[s].data() + p, *b = backward[s].data();
            cross += dot(f, b, count);
            energy += squares[s] - f[-1] * f[-1] - b[count] * b[count];
        }
        if (!(energy > 0.0))
            break;
        const double k = std::clamp(-2.0 * cross / energy, -0.9999999, 0.9999999);
        raise_order(a, scratch, k);
        error *= 1.0 - k * k;
        for (size_t s = 0; s < forward.size(); ++s)
            if (forward[s].size() > p)
                squares[s] = lattice(forward[s].data() + p, backward[s].data(), k, forward[s].size() - p);
    }
    a.resize(order + 1, 0.0);
    return error;
}

// Solves the symmetric Toeplitz system of first row r by Levinson's recursion; returns the mean diagonal of its inverse.
double solve_toeplitz(const double *r, const double *b, double *x, size_t count) {
    Vector a(1, 1.0), scratch;
    double error = r[0];
    std::fill(x, x + count, 0.0);
    if (!(error > 0.0))
        return 0.0;
    x[0] = b[0] / error;
    Vector reversed(r, r + count);
    std::reverse(reversed.begin(), reversed.end());  // reversed[count - 1 - n] == r[n]
    for (size_t m = 1; m < count; ++m) {
        const double *lags = reversed.data() + (count - 1 - m);  // r[m], r[m - 1], ...
        const double k = -dot(lags, a.data(), m) / error;
        raise_order(a, scratch, k);
        error *= 1.0 - k * k;
        if (!(error > 0.0))
            return 0.0;
        const double step = (b[m] - dot(lags, x, m)) / error;
        scratch.assign(a.rbegin(), a.rend());
        add_scaled(x, scratch.data(), step, m + 1);
    }
    // The trace by Gohberg and Semencul's formula.
    double trace = 0.0;
    for (size_t m = 0; m < count; ++m)
        trace += (static_cast<double>(count) - 2.0 * static_cast<double>(m)) * a[m] * a[m];
    return trace / (error * static_cast<double>(count));
}

// b - T x of the symmetric Toeplitz matrix of first row r.
void toeplitz_rest(const double *r, const double *b, const double *x, double *rest, size_t count) {
    Vector row(2 * count - 1);
    for (size_t n = 0; n < count; ++n)
        row[count - 1 + n] = row[count - 1 - n] = r[n];
    for (size_t n = 0; n < count; ++n)
        rest[n] = b[n] - dot(row.data() + (count - 1 - n), x, count);
}

double fill_gap(double *x, size_t first, size_t stop, const Vector &a, int refinements) {
    const size_t order = a.size() - 1, count = stop - first;
    Vector r(std::max(count, order + 1), 0.0);
    for (size_t lag = 0; lag <= order; ++lag)
        r[lag] = dot(a.data(), a.data() + lag, order + 1 - lag);
    std::fill(x + first, x + stop, 0.0);
    // Right side: minus the autocorrelation of the model over what is known.
    Vector row(2 * order + 1), b(count), found(count), rest(count), step(count);
    for (size_t lag = 0; lag <= order; ++lag)
        row[order + lag] = row[order - lag] = r[lag];
    for (size_t n = 0; n < count; ++n)
        b[n] = -dot(row.data(), x + first + n - order, 2 * order + 1);
    const double expected = solve_toeplitz(r.data(), b.data(), found.data(), count);
    const double enough = 1e-20 * dot(b.data(), b.data(), count);
    for (int n = 0; n < refinements; ++n) {  // Levinson's recursion loses digits where the sound is band-limited
        toeplitz_rest(r.data(), b.data(), found.data(), rest.data(), count);
        if (dot(rest.data(), rest.data(), count) <= enough)
            break;
        solve_toeplitz(r.data(), rest.data(), step.data(), count);
        add_scaled(found.data(), step.data(), 1.0, count);
    }
    std::copy(found.begin(), found.end(), x + first);
    return expected;
}

}  // namespace autoregression

namespace {

using namespace autoregression;

using Out = nb::ndarray<nb::numpy, double, nb::ndim<1>>;
Out to_numpy(const Vector &values) {
    auto *copy = new Vector(values);
    nb::capsule owner(copy, [](void *p) noexcept { delete static_cast<Vector *>(p); });
    return Out(copy->data(), {copy->size()}, owner);
}

static Register here([](nb::module_ &m) {
    m.def("burg", [](std::vector<Row<double>> stretches, size_t order) {
        Vector a;
        double error = 0.0;
        std::vector<Stretch> spans;
        for (const auto &s : stretches)
            spans.emplace_back(s.data(), s.shape(0));
        {
            nb::gil_scoped_release release;
            error = burg(spans, order, a);
        }
        return nb::make_tuple(to_numpy(a), error);
    }, nb::arg("stretches"), nb::arg("order"));
    m.def("fill_gap", [](RowOut<double> x, size_t first, size_t stop, Row<double> model) {
        nb::gil_scoped_release release;
        return fill_gap(x.data(), first, stop, Vector(model.data(), model.data() + model.shape(0)), 6);
    }, nb::arg("samples"), nb::arg("first"), nb::arg("stop"), nb::arg("model"));
});

}  // namespace
