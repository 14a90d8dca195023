// Every n-th sample of a low-passed stream: one FIR, worked out only where its output is kept.
#include "kernels.hpp"
#include "lanes.hpp"

#include <algorithm>

namespace {

constexpr size_t LANES = 16;

// Outputs side by side share what is loaded of the taps; each comes out the same with others or alone.
template <size_t OUTPUTS, class T>
INTO_CLONES void filter(const T *x, const T *taps, size_t count, size_t factor, double *out) {
    T sums[OUTPUTS][LANES] = {};
    for (size_t n = 0; n < count; n += LANES)
        for (size_t i = 0; i < OUTPUTS; ++i)
            for (size_t lane = 0; lane < LANES; ++lane) sums[i][lane] += x[i * factor + n + lane] * taps[n + lane];
    for (size_t i = 0; i < OUTPUTS; ++i) out[i] = static_cast<double>(sum_of(sums[i]));
}

template <class T>
INTO_CLONES void every(const T *x, const T *taps, size_t count, size_t factor, double *out, size_t kept) {
    constexpr size_t OUTPUTS = 4;
    size_t n = 0;
    for (; n + OUTPUTS <= kept; n += OUTPUTS) filter<OUTPUTS>(x + n * factor, taps, count, factor, out + n);
    for (; n < kept; ++n) filter<1>(x + n * factor, taps, count, factor, out + n);
}
VECTOR_CLONES void every_f(const float *x, const float *taps, size_t count, size_t factor, double *out, size_t kept) {
    every(x, taps, count, factor, out, kept);
}
VECTOR_CLONES void every_d(const double *x, const double *taps, size_t count, size_t factor, double *out, size_t kept) {
    every(x, taps, count, factor, out, kept);
}

// Taps (symmetric, so their order does not matter) padded to whole vectors by the caller.
struct Decimator {
    std::vector<double> taps_d;
    std::vector<float> taps_f;
    size_t factor;
    std::vector<std::vector<double>> held_d;  // per channel: what later outputs still need
    std::vector<std::vector<float>> held_f;

    Decimator(Row<double> taps, size_t every, int channels)
        : taps_d(taps.data(), taps.data() + taps.shape(0)), taps_f(taps_d.begin(), taps_d.end()), factor(every),
          held_d(channels), held_f(channels) {
        // The first output is centred on the first sample: half a filter of silence comes before it.
        for (auto &held : held_d) held.assign(taps_d.size() / 2, 0.0);
        for (auto &held : held_f) held.assign(taps_d.size() / 2, 0.0f);
    }

    size_t ready(size_t samples, bool single) const {
        const size_t have = (single ? held_f[0].size() : held_d[0].size()) + samples;
        return have < taps_d.size() ? 0 : (have - taps_d.size()) / factor + 1;
    }

    template <class T> void process(Planar<T> in, PlanarOut<double> out) {
        const size_t samples = in.shape(1), kept = out.shape(1);
        nb::gil_scoped_release release;
        for (size_t c = 0; c < in.shape(0); ++c) {
            const T *x = in.data() + c * samples;
            double *y = out.data() + c * kept;
            // Outputs that begin in what is held come from a joint, the others from the block itself.
            std::vector<T> &held = held_of<T>(c);
            const size_t before = held.size(), joined = std::min(kept, (before + factor - 1) / factor);
            held.insert(held.end(), x, x + std::min(samples, taps_d.size()));
            run(held.data(), y, joined);
            if (kept > joined)
                run(x + (joined * factor - before), y + joined, kept - joined);
            const size_t used = kept * factor;
            if (used >= before)
                held.assign(x + (used - before), x + samples);
            else
                held.erase(held.begin(), held.begin() + used);
        }
    }

    template <class T> std::vector<T> &held_of(size_t channel) {
        if constexpr (sizeof(T) == sizeof(float))
            return held_f[channel];
        else
            return held_d[channel];
    }
    void run(const float *x, double *y, size_t kept) const { every_f(x, taps_f.data(), taps_f.size(), factor, y, kept); }
    void run(const double *x, double *y, size_t kept) const { every_d(x, taps_d.data(), taps_d.size(), factor, y, kept); }
};

static Register here([](nb::module_ &m) {
    nb::class_<Decimator>(m, "Decimator")
        .def(nb::init<Row<double>, size_t, int>(), nb::arg("taps"), nb::arg("factor"), nb::arg("channels"))
        .def("ready", &Decimator::ready, nb::arg("samples"), nb::arg("single"),
             "How many outputs a block of so many samples, of single precision or not, will give.")
        .def("process", &Decimator::process<float>)
        .def("process", &Decimator::process<double>);
});

}  // namespace
