// Social shrinkage, the inner loop of declipping: a coefficient is kept by the energy of its neighbourhood in time and
// frequency (persistent empirical Wiener), and the estimate is carried on along its last move (FISTA).
#include "kernels.hpp"

#include <algorithm>
#include <cstring>

namespace {

VECTOR_CLONES void energies(const float *z, size_t bins, float *out) {
    for (size_t k = 0; k < bins; ++k)
        out[k] = z[2 * k] * z[2 * k] + z[2 * k + 1] * z[2 * k + 1];
}

VECTOR_CLONES void add(const float *in, size_t count, float *sum) {
    for (size_t k = 0; k < count; ++k)
        sum[k] += in[k];
}

// sum: one bin of zeros on either side of it. gain: what a coefficient keeps.
VECTOR_CLONES void gains(const float *sum, size_t bins, float threshold, float *gain) {
    for (size_t k = 0; k < bins; ++k) {
        const float energy = sum[k - 1] + sum[k] + sum[k + 1];
        const float keep = 1.0f - threshold / (energy + 1e-30f);
        gain[k] = keep > 0.0f ? keep : 0.0f;
    }
}

VECTOR_CLONES void move(const float *gain, size_t bins, float momentum, float *point, float *estimate) {
    for (size_t k = 0; k < bins; ++k)
        for (size_t i = 2 * k; i < 2 * k + 2; ++i) {
            const float next = gain[k] * point[i];
            point[i] = next + momentum * (next - estimate[i]);
            estimate[i] = next;
        }
}

// point, estimate: (frames, 2 bins), real and imaginary parts in turn. threshold: an energy.
void social_step(PlanarOut<float> point, PlanarOut<float> estimate, float threshold, float momentum, size_t reach) {
    const size_t frames = point.shape(0), bins = point.shape(1) / 2;
    float *p = point.data(), *e = estimate.data();
    nb::gil_scoped_release release;
    std::vector<float> energy(frames * bins), sum(bins + 2), gain(bins);
    for (size_t t = 0; t < frames; ++t)
        energies(p + 2 * t * bins, bins, energy.data() + t * bins);
    for (size_t t = 0; t < frames; ++t) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        const size_t last = std::min(frames - 1, t + reach);
        for (size_t n = t > reach ? t - reach : 0; n <= last; ++n)
            add(energy.data() + n * bins, bins, sum.data() + 1);
        gains(sum.data() + 1, bins, threshold, gain.data());
        move(gain.data(), bins, momentum, p + 2 * t * bins, e + 2 * t * bins);
    }
}

static Register here([](nb::module_ &m) {
    m.def("social_step", &social_step, nb::arg("point"), nb::arg("estimate"), nb::arg("threshold"), nb::arg("momentum"),
          nb::arg("reach"));
});

}  // namespace
