// What a limiter makes of levels of 10 ms, and the gain in front of it with which they come out at a wanted loudness.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr int ROUNDS = 3;
constexpr ptrdiff_t WINDOW = 40, HOP = 10;  // BS.1770's blocks of 400 ms, in steps of 10
constexpr double OFFSET_LUFS = -0.691, SILENT_LUFS = -70.0, RELATIVE_GATE = 0.1, FLOOR_LUFS = -200.0;

// Gated loudness as if silence lay around, as `dsp.meters.loudness.isolated_lufs` has it.
double isolated_lufs(const std::vector<double> &power) {
    const ptrdiff_t size = ptrdiff_t(power.size());
    const double silent = std::pow(10.0, (SILENT_LUFS - OFFSET_LUFS) / 10.0);
    std::vector<double> loud;
    double total = 0.0;
    for (ptrdiff_t end = 0; end - WINDOW < size; end += HOP) {
        double sum = 0.0;
        for (ptrdiff_t i = std::max<ptrdiff_t>(0, end - WINDOW); i < std::min(end, size); ++i)
            sum += power[i];
        if (sum / WINDOW > silent)
            loud.push_back(sum / WINDOW), total += sum / WINDOW;
    }
    if (loud.empty())
        return FLOOR_LUFS;
    const double gate = total / double(loud.size()) * RELATIVE_GATE;
    double kept = 0.0;
    size_t count = 0;
    for (double block : loud)
        if (block > gate)
            kept += block, ++count;
    return OFFSET_LUFS + 10.0 * std::log10(kept / double(count));
}

struct Levels {
    const double *over_db, *weighted;  // peaks above the ceiling, and K-weighted power, before the gain
    size_t size;
    double knee_db, decay;             // of the limiter: how softly it sets in, and what a step leaves of its depth

    // How far the limiter goes down: 1 less its gain. At once, held for a step to either side, then let go.
    void held(double gain_db, std::vector<double> &depth) const {
        std::vector<double> asked(size + 2, 0.0);
        for (size_t i = 0; i < size; ++i) {
            const double over = over_db[i] + gain_db, into = std::max(0.0, over + knee_db / 2.0);
            if (into > 0.0) {
                const double down = into < knee_db ? into * into / (2.0 * knee_db) : std::max(over, 0.0);
                asked[i + 1] = 1.0 - std::pow(10.0, -down / 20.0);
            }
        }
        double now = 0.0;
        for (size_t i = 0; i < size; ++i) {
            now = std::max({asked[i], asked[i + 1], asked[i + 2], now * decay});
            depth[i] = now;
        }
    }

    // The gain with which the limited levels are as loud as wanted, and in `gain` what it and the limiter do to each.
    double settled(double goal_lufs, double *gain) const {
        std::vector<double> depth(size), power(weighted, weighted + size);
        double gain_db = goal_lufs - isolated_lufs(power);
        for (int round = 0; round < ROUNDS; ++round) {
            held(gain_db, depth);
            const double raised = std::pow(10.0, gain_db / 20.0);
            for (size_t i = 0; i < size; ++i) {
                const double both = raised * (1.0 - depth[i]);
                power[i] = weighted[i] * both * both;
            }
            gain_db += goal_lufs - isolated_lufs(power);
        }
        const double raised = std::pow(10.0, gain_db / 20.0);
        for (size_t i = 0; i < size; ++i)
            gain[i] = raised * (1.0 - depth[i]);
        return gain_db;
    }
};

static Register here([](nb::module_ &m) {
    m.def("settled_gain", [](Row<double> over_db, Row<double> weighted, double goal_lufs, double knee_db, double decay,
                             RowOut<double> gain) {
        if (weighted.shape(0) != over_db.shape(0) || gain.shape(0) != over_db.shape(0))
            throw nb::value_error("over_db, weighted and gain: not of one length");
        nb::gil_scoped_release release;
        return Levels{over_db.data(), weighted.data(), over_db.shape(0), knee_db, decay}.settled(goal_lufs, gain.data());
    }, nb::arg("over_db"), nb::arg("weighted"), nb::arg("goal_lufs"), nb::arg("knee_db"), nb::arg("decay"), nb::arg("gain"),
       "The gain in dB with which levels of 10 ms, limited, come to a loudness; gain: what it and the limiter do to each.");
});

}  // namespace
