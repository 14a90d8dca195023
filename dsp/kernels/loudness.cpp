// K-weighting and the energy of every 10 ms segment, in one pass.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

namespace {

// Channels are filtered two by two: a pair fills one vector register, an odd one has silence beside it.
constexpr int LANES = 2;
#if defined(__GNUC__)
using Lanes = double __attribute__((vector_size(LANES * sizeof(double))));
#else
struct Lanes {
    double lane[LANES];
    double &operator[](int c) { return lane[c]; }
    Lanes &operator+=(Lanes o) { return *this = {lane[0] + o.lane[0], lane[1] + o.lane[1]}; }
};
inline Lanes operator+(Lanes a, Lanes b) { return {a.lane[0] + b.lane[0], a.lane[1] + b.lane[1]}; }
inline Lanes operator-(Lanes a, Lanes b) { return {a.lane[0] - b.lane[0], a.lane[1] - b.lane[1]}; }
inline Lanes operator*(Lanes a, Lanes b) { return {a.lane[0] * b.lane[0], a.lane[1] * b.lane[1]}; }
inline Lanes operator*(double a, Lanes b) { return {a * b.lane[0], a * b.lane[1]}; }
#endif

struct Section {
    double b0, b1, b2, a1, a2;
};

// What one pair of channels remembers: the last inputs, shelf outputs and high-pass outputs.
struct Pair {
    Lanes x1{}, x2{}, u1{}, u2{}, v1{}, v2{}, energy{};
};

// Direct form I: the recursion is one multiply-add long, and its length is what bounds the speed.
VECTOR_CLONES
void weigh(const Lanes *x, size_t samples, const Section &shelf, const Section &highpass, Pair &state) {
    const Section s = shelf, h = highpass;
    Pair p = state;
    for (size_t n = 0; n < samples; ++n) {
        const Lanes u = (s.b0 * x[n] + s.b1 * p.x1 + s.b2 * p.x2 - s.a2 * p.u2) - s.a1 * p.u1;
        const Lanes v = (h.b0 * u + h.b1 * p.u1 + h.b2 * p.u2 - h.a2 * p.v2) - h.a1 * p.v1;
        p.energy += v * v;
        p.x2 = p.x1;
        p.x1 = x[n];
        p.u2 = p.u1;
        p.u1 = u;
        p.v2 = p.v1;
        p.v1 = v;
    }
    state = p;
}

struct SegmentPowers {
    Section shelf, highpass;
    int64_t sample_rate_hz;
    std::vector<double> weights;    // one per lane, silence weighs nothing
    std::vector<Pair> pairs;
    std::vector<Lanes> interleaved;
    std::vector<double> powers;     // of the segments that were not taken
    size_t closed = 0;
    int64_t position = 0;

    SegmentPowers(Planar<double> sos, Row<double> channel_weights, int64_t rate_hz) : sample_rate_hz(rate_hz) {
        shelf = {sos(0, 0), sos(0, 1), sos(0, 2), sos(0, 4), sos(0, 5)};
        highpass = {sos(1, 0), sos(1, 1), sos(1, 2), sos(1, 4), sos(1, 5)};
        const size_t channels = channel_weights.shape(0);
        pairs.resize((channels + LANES - 1) / LANES);
        weights.assign(pairs.size() * LANES, 0.0);
        std::copy_n(channel_weights.data(), channels, weights.begin());
        interleaved.resize(rate_hz / 100 + 1);
    }

    // floor(k * rate / 100 + 0.5) without rounding errors.
    int64_t boundary(size_t k) const { return (static_cast<int64_t>(k) * sample_rate_hz + 50) / 100; }

    template <class T> void process(Planar<T> in) {
        const size_t channels = in.shape(0), samples = in.shape(1);
        const T *data = in.data();
        nb::gil_scoped_release release;
        for (size_t start = 0; start < samples;) {
            const int64_t end = boundary(closed + 1);
            const size_t count = std::min<size_t>(samples - start, end - position);
            for (size_t pair = 0; pair < pairs.size(); ++pair) {
                const T *a = data + pair * LANES * samples + start;
                const bool odd = pair * LANES + 1 == channels;
                const T *b = odd ? a : a + samples;
                const double second = odd ? 0.0 : 1.0;
                for (size_t n = 0; n < count; ++n)
                    interleaved[n] = Lanes{static_cast<double>(a[n]), second * static_cast<double>(b[n])};
                weigh(interleaved.data(), count, shelf, highpass, pairs[pair]);
            }
            start += count;
            position += count;
            if (position == end) close_segment();
        }
    }

    void close_segment() {
        double energy = 0.0;
        for (size_t lane = 0; lane < weights.size(); ++lane)
            energy += weights[lane] * pairs[lane / LANES].energy[lane % LANES];
        powers.push_back(energy * 100.0 / static_cast<double>(sample_rate_hz));
        ++closed;
        for (Pair &pair : pairs) {
            pair.energy = Lanes{};
            // After the music the states fade for ever; within 10 ms none gets from here into denormals.
            for (Lanes *memory : {&pair.x1, &pair.x2, &pair.u1, &pair.u2, &pair.v1, &pair.v2})
                for (int c = 0; c < LANES; ++c)
                    if (std::fabs((*memory)[c]) < 1e-100) (*memory)[c] = 0.0;
        }
    }

    void take(RowOut<double> out) {
        std::copy(powers.begin(), powers.end(), out.data());
        powers.clear();
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<SegmentPowers>(m, "SegmentPowers")
        .def(nb::init<Planar<double>, Row<double>, int64_t>(), nb::arg("sections"), nb::arg("weights"),
             nb::arg("sample_rate_hz"))
        .def("process", &SegmentPowers::process<float>)
        .def("process", &SegmentPowers::process<double>)
        .def("waiting", [](const SegmentPowers &self) { return self.powers.size(); })
        .def("take", &SegmentPowers::take);
});

}  // namespace
