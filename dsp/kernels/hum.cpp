// Sums of harmonics of one moving fundamental, with complex amplitudes that move as well.
#include "kernels.hpp"

#include <cmath>

namespace {

constexpr double TURN = 6.283185307179586476925;

// Adds sum_k Re(a_k exp(i k phi)) to rows of `out`; phi starts at `cycles` and rises by `rate` cycles a sample, `rate`
// itself by `bend`. re, im: (channels, harmonics), the amplitudes at the start; step_*: what a sample adds to them.
VECTOR_CLONES void harmonics(double cycles, double rate, double bend, const double *order, size_t count,
                             const double *re, const double *im, const double *step_re, const double *step_im,
                             size_t channels, size_t samples, double *out, double *work) {
    double *cos_at = work, *sin_at = cos_at + count, *cos_by = sin_at + count, *sin_by = cos_by + count;
    double *cos_bend = sin_by + count, *sin_bend = cos_bend + count;
    for (size_t k = 0; k < count; ++k) {
        const double at = TURN * std::fmod(order[k] * cycles, 1.0), by = TURN * order[k] * (rate + 0.5 * bend);
        const double bent = TURN * order[k] * bend;
        cos_at[k] = std::cos(at), sin_at[k] = std::sin(at);
        cos_by[k] = std::cos(by), sin_by[k] = std::sin(by);
        cos_bend[k] = std::cos(bent), sin_bend[k] = std::sin(bent);
    }
    for (size_t n = 0; n < samples; ++n) {
        for (size_t c = 0; c < channels; ++c) {
            const size_t row = c * count;
            const double t = static_cast<double>(n);
            double sum = 0.0;
            for (size_t k = 0; k < count; ++k)
                sum += (re[row + k] + t * step_re[row + k]) * cos_at[k] - (im[row + k] + t * step_im[row + k]) * sin_at[k];
            out[c * samples + n] = sum;
        }
        for (size_t k = 0; k < count; ++k) {
            const double c = cos_at[k], s = sin_at[k], cb = cos_by[k], sb = sin_by[k];
            cos_at[k] = c * cb - s * sb;
            sin_at[k] = s * cb + c * sb;
            cos_by[k] = cb * cos_bend[k] - sb * sin_bend[k];
            sin_by[k] = sb * cos_bend[k] + cb * sin_bend[k];
        }
    }
}

void hum(double cycles, double rate, double bend, Row<double> order, Planar<double> re, Planar<double> im,
         Planar<double> step_re, Planar<double> step_im, PlanarOut<double> out) {
    std::vector<double> work(6 * order.shape(0));
    nb::gil_scoped_release release;
    harmonics(cycles, rate, bend, order.data(), order.shape(0), re.data(), im.data(), step_re.data(), step_im.data(),
              out.shape(0), out.shape(1), out.data(), work.data());
}

static Register here([](nb::module_ &m) {
    m.def("hum", &hum, nb::arg("cycles"), nb::arg("rate"), nb::arg("bend"), nb::arg("order"), nb::arg("re"),
          nb::arg("im"), nb::arg("step_re"), nb::arg("step_im"), nb::arg("out"),
          "Harmonics of a fundamental whose phase and rate at the first sample are given in cycles (a sample).");
});

}  // namespace
