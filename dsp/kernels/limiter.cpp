// A true-peak limiter in two stages: one shapes the sound, the second, far finer, makes sure of the ceiling.
#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kCoarseTaps = 32, kCoarsePhases = 4;  // shapes: quick, a little low near the Nyquist frequency
constexpr int kFineTaps = 128, kFinePhases = 16;    // makes sure: evaluated only where it can matter
constexpr int kHalf = kFineTaps / 2;
constexpr double kAlmostOne = 1.0 - 1e-6;

double bessel(double x) {
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 60; ++k) {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
    }
    return sum;
}

// Kaiser-windowed sinc at the fractions k/phases: row k interpolates between taps/2 - 1 and taps/2.
std::vector<float> interpolator(int taps, int phases, double beta) {
    std::vector<float> rows(static_cast<size_t>(taps) * phases);
    for (int k = 0; k < phases; ++k) {
        double sum = 0.0;
        std::vector<double> row(taps);
        for (int t = 0; t < taps; ++t) {
            const double x = t - (taps / 2 - 1) - static_cast<double>(k) / phases, r = 2.0 * x / taps;
            const double window = std::abs(r) < 1.0 ? bessel(beta * std::sqrt(1.0 - r * r)) / bessel(beta) : 0.0;
            row[t] = (x == 0.0 ? 1.0 : std::sin(kPi * x) / (kPi * x)) * window;
            sum += row[t];
        }
        for (int t = 0; t < taps; ++t) rows[static_cast<size_t>(k) * taps + t] = static_cast<float>(row[t] / sum);
    }
    return rows;
}

// Largest of |x| and of its coarse interpolation from each sample to the next; x begins taps/2 - 1 samples early.
VECTOR_CLONES void coarse_peaks(const float *x, size_t count, const float *rows, float *scratch, float *peaks) {
    for (size_t i = 0; i < count; ++i) peaks[i] = std::max(peaks[i], std::fabs(x[i + kCoarseTaps / 2 - 1]));
    for (int k = 1; k < kCoarsePhases; ++k) {
        const float *row = rows + k * kCoarseTaps;
        for (size_t i = 0; i < count; ++i) scratch[i] = 0.0f;
        for (int t = 0; t < kCoarseTaps; ++t) {
            const float h = row[t];
            const float *from = x + t;
            for (size_t i = 0; i < count; ++i) scratch[i] += h * from[i];
        }
        for (size_t i = 0; i < count; ++i) peaks[i] = std::max(peaks[i], std::fabs(scratch[i]));
    }
}

VECTOR_CLONES float fine_value(const float *x, const float *row) {
    float lanes[16] = {};
    for (int t = 0; t < kFineTaps; t += 16)
        for (int j = 0; j < 16; ++j) lanes[j] += row[t + j] * x[t + j];
    float sum = 0.0f;
    for (float lane : lanes) sum += lane;
    return std::fabs(sum);
}

// Mean of the last `length` values; exactly 1 while all of them are exactly 1.
struct Box {
    std::vector<double> ring;
    size_t at = 0, below = 0;
    double sum;

    explicit Box(size_t length) : ring(std::max<size_t>(length, 1), 1.0), sum(static_cast<double>(ring.size())) {}

    double next(double value) {
        double &old = ring[at];
        below -= old != 1.0;
        below += value != 1.0;
        sum += value - old;
        old = value;
        at = at + 1 == ring.size() ? 0 : at + 1;
        if (!below) {
            sum = static_cast<double>(ring.size());
            return 1.0;
        }
        return sum / static_cast<double>(ring.size());
    }
};

// Smallest of the last `length` values, by a queue that only ever rises.
struct Lowest {
    struct Entry {
        uint64_t when;
        double value;
    };
    std::vector<Entry> ring;
    size_t head = 0, size = 0;
    uint64_t now = 0, length;

    explicit Lowest(size_t length_) : ring(length_ + 1), length(length_) {}

    double next(double value) {
        const size_t n = ring.size();
        while (size && ring[(head + size - 1) % n].value >= value) --size;
        ring[(head + size++) % n] = {now, value};
        if (ring[head].when + length <= now) {
            head = (head + 1) % n;
            --size;
        }
        ++now;
        return ring[head].value;
    }
};

double coefficient(double seconds, double rate) { return 1.0 - std::exp(-1.0 / std::max(seconds * rate, 1.0)); }

// From the gain each sample needs to the gain it gets, `lookahead` samples later: down in time along a smooth slope,
// held over the next low note's crest, up at a pace that depends on how long the limiter has been at work.
struct Envelope {
    size_t lookahead;
    Lowest lowest;
    Box first, second;
    double fast = 1.0, slow = 1.0, quick_step, slow_step;

    Envelope(size_t lookahead_, size_t hold, double release_s, double slow_s, double rate)
        : lookahead(lookahead_), lowest(lookahead_ + hold + 1), first(lookahead_ / 2 + 1),
          second(lookahead_ - lookahead_ / 2), quick_step(coefficient(release_s, rate)),
          slow_step(slow_s > 0.0 ? coefficient(slow_s, rate) : 0.0) {}

    double next(double needed) {
        const double low = lowest.next(needed);
        if (low <= fast) fast = low;
        else fast += (low - fast) * quick_step;
        if (low == 1.0 && fast > kAlmostOne) fast = 1.0;
        double wanted = fast;
        if (slow_step > 0.0) {
            slow += (fast - slow) * slow_step;
            if (fast == 1.0 && slow > kAlmostOne) slow = 1.0;
            wanted = std::min(fast, slow);
        }
        return second.next(first.next(wanted));
    }
};

// A peak between samples is made by all that the fine filter spans: at low rates too the gain has to be steady there.
size_t guard_reach(double rate) { return std::max<size_t>(static_cast<size_t>(0.0015 * rate), kFineTaps) + 2; }
size_t guard_hold(double rate) { return std::max<size_t>(static_cast<size_t>(0.0005 * rate), kHalf) + 2; }

constexpr size_t kChunk = 2048;

// Samples with as much of the past as a filter needs before them; `data()[past]` is the oldest new one.
template <class T> struct History {
    size_t past;
    std::vector<T> line;

    explicit History(size_t past_) : past(past_), line(past_ + kChunk, T(0)) {}
    T *fresh() { return line.data() + past; }
    const T *data() const { return line.data(); }
    void forget(size_t count) { std::copy(line.begin() + count, line.begin() + count + past, line.begin()); }
};

class Limiter {
    size_t channels;
    double ceiling;
    float watch;
    std::vector<float> coarse, fine;
    Envelope shape, guard;
    // For each channel: input and shaped signal, in full for the gain and in float for detection.
    std::vector<History<double>> input, shaped;
    std::vector<History<float>> heard, checked;
    History<double> shape_gain;
    std::vector<float> peaks, scratch;

  public:
    const size_t first_delay, second_delay;

    Limiter(double rate, int channels_, double ceiling_, size_t lookahead, size_t hold, double release_s, double slow_s)
        : channels(channels_), ceiling(ceiling_), watch(static_cast<float>(0.6 * ceiling_)),
          coarse(interpolator(kCoarseTaps, kCoarsePhases, 6.0)), fine(interpolator(kFineTaps, kFinePhases, 8.0)),
          shape(lookahead, hold, release_s, slow_s, rate),
          guard(guard_reach(rate), guard_hold(rate), 0.03, 0.0, rate),
          input(channels_, History<double>(kCoarseTaps / 2 + lookahead)),
          shaped(channels_, History<double>(kHalf + guard_reach(rate))),
          heard(channels_, History<float>(kCoarseTaps - 1)), checked(channels_, History<float>(kFineTaps - 1)),
          shape_gain(kHalf + guard_reach(rate)), peaks(kChunk), scratch(kChunk),
          first_delay(kCoarseTaps / 2 + lookahead), second_delay(kHalf + guard_reach(rate)) {
        std::fill(shape_gain.line.begin(), shape_gain.line.end(), 1.0);
    }

    size_t delay() const { return first_delay + second_delay; }

    // Samples in, as many out, `delay` later; gains: what each output sample was multiplied with.
    template <class T> void process(Planar<T> in, PlanarOut<T> out, RowOut<float> gains) {
        const size_t samples = in.shape(1);
        nb::gil_scoped_release release;
        for (size_t start = 0; start < samples; start += kChunk) {
            const size_t count = std::min(kChunk, samples - start);
            for (size_t c = 0; c < channels; ++c) {
                const T *x = in.data() + c * samples + start;
                for (size_t i = 0; i < count; ++i) {
                    input[c].fresh()[i] = x[i];
                    heard[c].fresh()[i] = static_cast<float>(x[i]);
                }
            }
            run_shape(count);
            run_guard(count);
            for (size_t c = 0; c < channels; ++c) {
                T *y = out.data() + c * samples + start;
                const double *line = shaped[c].data();
                for (size_t i = 0; i < count; ++i) y[i] = static_cast<T>(line[i] * scratch_gain[i]);
            }
            for (size_t i = 0; i < count; ++i)
                gains.data()[start + i] = static_cast<float>(scratch_gain[i] * shape_gain.data()[i]);
            shape_gain.forget(count);
            for (size_t c = 0; c < channels; ++c) {
                input[c].forget(count);
                heard[c].forget(count);
                shaped[c].forget(count);
                checked[c].forget(count);
            }
        }
    }

  private:
    std::array<double, kChunk> scratch_gain{};

    void run_shape(size_t count) {
        std::fill(peaks.begin(), peaks.begin() + count, 0.0f);
        for (size_t c = 0; c < channels; ++c)
            coarse_peaks(heard[c].data(), count, coarse.data(), scratch.data(), peaks.data());
        for (size_t i = 0; i < count; ++i) {
            const double gain = shape.next(peaks[i] > ceiling ? ceiling / peaks[i] : 1.0);
            shape_gain.fresh()[i] = gain;
            for (size_t c = 0; c < channels; ++c) {
                const double y = input[c].data()[i] * gain;
                shaped[c].fresh()[i] = y;
                checked[c].fresh()[i] = static_cast<float>(y);
            }
        }
    }

    void run_guard(size_t count) {
        std::fill(peaks.begin(), peaks.begin() + count, 0.0f);
        for (size_t c = 0; c < channels; ++c) {
            // The coarse window sits in the middle of the fine one.
            const float *x = checked[c].data();
            float *own = own_peaks.data();
            std::fill(own, own + count, 0.0f);
            coarse_peaks(x + (kFineTaps - kCoarseTaps) / 2, count, coarse.data(), scratch.data(), own);
            for (size_t i = 0; i < count; ++i)
                if (own[i] > watch) peaks[i] = std::max(peaks[i], fine_peak(x + i, own[i]));
        }
        for (size_t i = 0; i < count; ++i)
            scratch_gain[i] = guard.next(peaks[i] > ceiling ? ceiling / peaks[i] : 1.0);
    }

    std::array<float, kChunk> own_peaks{};

    // The fine interpolation from one sample to the next; in full only where quarter steps come near the ceiling.
    float fine_peak(const float *x, float coarse_peak) const {
        float top = std::fabs(x[kHalf - 1]);
        constexpr int quarter = kFinePhases / 4;
        for (int k = quarter; k < kFinePhases; k += quarter) top = std::max(top, fine_value(x, &fine[k * kFineTaps]));
        if (std::max(top, coarse_peak) < 0.85 * ceiling) return top;
        for (int k = 1; k < kFinePhases; ++k)
            if (k % quarter) top = std::max(top, fine_value(x, &fine[k * kFineTaps]));
        return top;
    }
};

static Register here([](nb::module_ &m) {
    nb::class_<Limiter>(m, "Limiter")
        .def(nb::init<double, int, double, size_t, size_t, double, double>(), nb::arg("sample_rate_hz"),
             nb::arg("channels"), nb::arg("ceiling"), nb::arg("lookahead"), nb::arg("hold"), nb::arg("release_s"),
             nb::arg("slow_s"))
        .def_prop_ro("delay", &Limiter::delay)
        .def("process", &Limiter::process<float>)
        .def("process", &Limiter::process<double>);
});

}  // namespace
