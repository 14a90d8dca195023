// Bells and shelves fitted together to a curve: Levenberg and Marquardt's search over log frequency, gain and log Q of each.
#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace {

using Vector = std::vector<double>;

enum Shape { PEAK, LOW_SHELF, HIGH_SHELF };
constexpr double STEPS[3] = {0.02, 0.05, 0.03};  // for derivatives
constexpr double PULL = 0.1;                     // towards small gains: two bands that fight each other go anywhere
constexpr double LEAST_GAIN = 1e-6;              // of the summed squares, as a share: a round that takes off less is the last
constexpr int ATTEMPTS = 4;                      // of a round, each with shorter steps

// The analogue prototype's gain, as `dsp.effects.eq.prototype_db` has it.
void response(int shape, const double *band, const Vector &hz, double *db) {
    const double f = std::exp(band[0]), a = std::pow(10.0, band[1] / 40.0), q = std::exp(band[2]);
    for (size_t i = 0; i < hz.size(); ++i) {
        const double w = hz[i] / f, square = w * w;
        if (shape == PEAK) {
            const double shared = (1.0 - square) * (1.0 - square), ring = square / (q * q);
            db[i] = 10.0 * std::log10((shared + ring * a * a) / (shared + ring / (a * a)));
        } else {
            const double slope = a * square / (q * q);
            const double low = (a - square) * (a - square) + slope, high = (1.0 - a * square) * (1.0 - a * square) + slope;
            db[i] = band[1] / 2.0 + 10.0 * std::log10(shape == LOW_SHELF ? low / high : high / low);
        }
    }
}

// x of a symmetric positive definite system, by Cholesky's factors; false where it is not.
bool solve(Vector matrix, Vector &x) {
    const size_t n = x.size();
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j <= i; ++j) {
            double sum = matrix[i * n + j];
            for (size_t k = 0; k < j; ++k)
                sum -= matrix[i * n + k] * matrix[j * n + k];
            if (i == j && !(sum > 0.0))
                return false;
            matrix[i * n + j] = i == j ? std::sqrt(sum) : sum / matrix[j * n + j];
        }
    for (size_t i = 0; i < n; ++i) {
        for (size_t k = 0; k < i; ++k)
            x[i] -= matrix[i * n + k] * x[k];
        x[i] /= matrix[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; ++k)
            x[i] -= matrix[k * n + i] * x[k];
        x[i] /= matrix[i * n + i];
    }
    return true;
}

struct Fit {
    const std::vector<int32_t> shapes;
    const Vector hz, curve, root;  // root of the weights
    const Vector low, high;        // bounds of each parameter

    size_t bands() const { return shapes.size(); }
    size_t places() const { return hz.size(); }

    // Of every band, (bands, places).
    Vector responses(const Vector &x) const {
        Vector found(bands() * places());
        for (size_t b = 0; b < bands(); ++b)
            response(shapes[b], x.data() + 3 * b, hz, found.data() + b * places());
        return found;
    }

    // What is left of the curve at each place, then what the gains are pulled by.
    Vector residual(const Vector &x, const Vector &parts) const {
        Vector left(places() + bands());
        for (size_t i = 0; i < places(); ++i) {
            double total = 0.0;
            for (size_t b = 0; b < bands(); ++b)
                total += parts[b * places() + i];
            left[i] = root[i] * (total - curve[i]);
        }
        for (size_t b = 0; b < bands(); ++b)
            left[places() + b] = PULL * x[3 * b + 1];
        return left;
    }

    // Derivatives of the places alone by each parameter, (3 * bands, places); the pull's are known.
    Vector jacobian(const Vector &x, const Vector &parts) const {
        Vector rows(3 * bands() * places());
        for (size_t b = 0; b < bands(); ++b)
            for (size_t kind = 0; kind < 3; ++kind) {
                std::array<double, 3> moved = {x[3 * b], x[3 * b + 1], x[3 * b + 2]};
                moved[kind] += STEPS[kind];
                double *row = rows.data() + (3 * b + kind) * places();
                response(shapes[b], moved.data(), hz, row);
                for (size_t i = 0; i < places(); ++i)
                    row[i] = root[i] * (row[i] - parts[b * places() + i]) / STEPS[kind];
            }
        return rows;
    }

    void search(Vector &x, int rounds) const {
        const size_t n = x.size();
        for (size_t k = 0; k < n; ++k)
            x[k] = std::clamp(x[k], low[k], high[k]);
        Vector parts = responses(x), current = residual(x, parts), normal(n * n), slope(n);
        double cost = squared(current), damping = 1.0;
        for (int round = 0; round < rounds; ++round) {
            const Vector rows = jacobian(x, parts);
            for (size_t k = 0; k < n; ++k) {
                slope[k] = product(rows.data() + k * places(), current.data());
                for (size_t m = 0; m <= k; ++m)
                    normal[k * n + m] = product(rows.data() + k * places(), rows.data() + m * places());
            }
            for (size_t b = 0; b < bands(); ++b) {
                slope[3 * b + 1] += PULL * current[places() + b];
                normal[(3 * b + 1) * n + 3 * b + 1] += PULL * PULL;
            }
            bool goes_on = false;
            for (int attempt = 0; attempt < ATTEMPTS; ++attempt, damping *= 4.0) {
                Vector damped(normal), step(slope), trial(x);
                for (size_t k = 0; k < n; ++k)
                    damped[k * n + k] += damping * (normal[k * n + k] + 1e-6);
                if (!solve(damped, step))
                    continue;
                for (size_t k = 0; k < n; ++k)
                    trial[k] = std::clamp(x[k] - step[k], low[k], high[k]);
                Vector trial_parts = responses(trial), value = residual(trial, trial_parts);
                const double trial_cost = squared(value);
                if (trial_cost < cost) {
                    goes_on = 1.0 - trial_cost / cost > LEAST_GAIN;
                    x = std::move(trial), parts = std::move(trial_parts), current = std::move(value);
                    cost = trial_cost;
                    damping *= 0.3;
                    break;
                }
            }
            if (!goes_on)
                return;
        }
    }

    double product(const double *a, const double *b) const {
        double sum = 0.0;
        for (size_t i = 0; i < places(); ++i)
            sum += a[i] * b[i];
        return sum;
    }

    static double squared(const Vector &v) {
        double sum = 0.0;
        for (double value : v)
            sum += value * value;
        return sum;
    }
};

static Register here([](nb::module_ &m) {
    m.def("refine_bands", [](RowOut<double> settings, Row<int32_t> shapes, Row<double> hz, Row<double> curve,
                             Row<double> root, Row<double> low, Row<double> high, int rounds) {
        nb::gil_scoped_release release;
        const Fit fit{copied(shapes), copied(hz), copied(curve), copied(root), copied(low), copied(high)};
        Vector x(settings.data(), settings.data() + settings.shape(0));
        fit.search(x, rounds);
        std::copy(x.begin(), x.end(), settings.data());
    }, nb::arg("settings"), nb::arg("shapes"), nb::arg("hz"), nb::arg("curve"), nb::arg("root"), nb::arg("low"),
       nb::arg("high"), nb::arg("rounds"),
       "settings: log frequency, gain and log Q of each band, improved in place; shapes: 0 bell, 1 low, 2 high shelf.");
});

}  // namespace
