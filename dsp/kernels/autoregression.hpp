// Autoregressive models, shared by the kernels that fit them and that fill in from them.
#pragma once

#include "kernels.hpp"

#include <utility>

namespace autoregression {

using Vector = std::vector<double>;
using Stretch = std::pair<const double *, size_t>;

double dot(const double *a, const double *b, size_t count);

// Burg's method with the errors of all stretches summed: coefficients (1, a1 ... ap); returns the mean squared error.
double burg(const std::vector<Stretch> &stretches, size_t order, Vector &a);

// Fills the one gap [first, stop) of x so that the model's squared errors are least; `order` samples on each side are
// known. Returns the mean squared error to expect, in units of the model's own.
double fill_gap(double *x, size_t first, size_t stop, const Vector &a, int refinements);

}  // namespace autoregression
