// Linear prediction of sound, short and of fixed orders: what the search for clicks does most of the time.
#pragma once

#include "kernels.hpp"

namespace prediction {

constexpr size_t SCREEN_ORDER = 16, ORDER = 32;  // of the first look, of the close one

// Sums of products at lags 0 to SCREEN_ORDER; x goes on with at least as many zeros.
void correlate(const float *x, size_t count, double *r);

// Coefficients (1, a1 ... a16) from these by Levinson's recursion; returns the error, 0 where there is no model.
double levinson(const double *r, double *a);

// Coefficients (1, a1 ... a32) by Burg's method from sums of products (Vos 2013, "A fast implementation of Burg's method"):
// a few times as fast as by the lattice, and for a short model as exact. False where there is no model; count > ORDER.
bool burg(const double *x, size_t count, double *a);

// e[n] = x[n] + a1 x[n - 1] + ... + ap x[n - p]; x has p samples before it. p: ORDER in double precision; in single one
// more than SCREEN_ORDER, since the model is of brightened sound.
void predict(const double *x, const double *a, double *e, size_t count);
void predict(const float *x, const float *a, float *e, size_t count);

// y[n] = x[n] - 0.9 x[n - 1], so that the bass does not use up the precision; x has a sample before it.
void brighten(const float *x, float *y, size_t count);

// The largest size.
double highest(const double *x, size_t count);
float highest(const float *x, size_t count);

}  // namespace prediction
