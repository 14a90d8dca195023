// A cascade of second-order sections, transposed direct form II, one state per channel.
#include "kernels.hpp"

#include <array>

namespace {

struct Biquads {
    std::vector<std::array<double, 5>> sections;    // b0 b1 b2 a1 a2
    std::vector<std::array<double, 2>> state;       // channel-major, section-minor

    Biquads(Planar<double> sos, int channels) {
        for (size_t s = 0; s < sos.shape(0); ++s)
            sections.push_back({sos(s, 0), sos(s, 1), sos(s, 2), sos(s, 4), sos(s, 5)});
        state.assign(sections.size() * channels, {0.0, 0.0});
    }

    template <class T> void process(Planar<T> in, PlanarOut<T> out) {
        const size_t channels = in.shape(0), samples = in.shape(1);
        nb::gil_scoped_release release;
        for (size_t c = 0; c < channels; ++c) {
            const T *x = in.data() + c * samples;
            T *y = out.data() + c * samples;
            auto *z = &state[c * sections.size()];
            for (size_t n = 0; n < samples; ++n) {
                // Far below any 24-bit step; keeps the states out of denormals after the music has ended.
                double v = x[n] + 1e-30;
                for (size_t s = 0; s < sections.size(); ++s) {
                    const auto &k = sections[s];
                    const double w = k[0] * v + z[s][0];
                    z[s][0] = k[1] * v - k[3] * w + z[s][1];
                    z[s][1] = k[2] * v - k[4] * w;
                    v = w;
                }
                y[n] = static_cast<T>(v);
            }
        }
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<Biquads>(m, "Biquads")
        .def(nb::init<Planar<double>, int>(), nb::arg("sections"), nb::arg("channels"))
        .def("process", &Biquads::process<float>)
        .def("process", &Biquads::process<double>);
});

}  // namespace
