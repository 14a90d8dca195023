// Crest factor and spread of levels of 10 ms, over windows that slide by one level and see silence beyond the ends.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>

namespace {

constexpr size_t TOGETHER = 512;   // windows: what they need stays in the cache
constexpr double FLOOR = 1e-20;   // power of silence

VECTOR_CLONES
void add_up(const double *levels, size_t count, size_t length, double *sum) {
    std::fill_n(sum, count, 0.0);
    for (size_t k = 0; k < length; ++k)
        for (size_t n = 0; n < count; ++n)
            sum[n] += levels[n + k];
}

VECTOR_CLONES
void find_highest(const double *levels, size_t count, size_t length, double *highest) {
    std::fill_n(highest, count, 0.0);
    for (size_t k = 0; k < length; ++k)
        for (size_t n = 0; n < count; ++n)
            highest[n] = levels[n + k] > highest[n] ? levels[n + k] : highest[n];
}

// What `of` makes of every window of `length` levels; the first and the last begin and end `margin` beyond the course.
template <class T, class Of>
std::vector<float> sliding(const Row<T> &course, size_t length, size_t margin, Of of) {
    const size_t size = course.shape(0), windows = size + 2 * margin - length + 1;
    std::vector<double> levels(TOGETHER + length), made(TOGETHER);
    std::vector<float> out(windows);
    for (size_t first = 0; first < windows; first += TOGETHER) {
        const size_t count = std::min(TOGETHER, windows - first);
        for (size_t n = 0; n < count + length - 1; ++n) {
            const size_t at = first + n;
            levels[n] = at >= margin && at < margin + size ? double(course.data()[at - margin]) : 0.0;
        }
        of(levels.data(), count, length, made.data());
        std::copy_n(made.data(), count, out.data() + first);
    }
    return out;
}

template <class T> std::vector<float> mean_power(const Row<T> &course, size_t length, size_t margin) {
    return sliding(course, length, margin, [](const double *levels, size_t count, size_t length, double *mean) {
        add_up(levels, count, length, mean);
        for (size_t n = 0; n < count; ++n)
            mean[n] = mean[n] / double(length) + FLOOR;
    });
}

// Below this is silence.
float least(const std::vector<float> &power, double heard_db) {
    return *std::max_element(power.begin(), power.end()) * float(std::pow(10.0, heard_db / 10.0));
}

std::vector<float> above(const std::vector<float> &values, const std::vector<float> &power, float least) {
    std::vector<float> kept;
    kept.reserve(values.size());
    for (size_t n = 0; n < values.size(); ++n)
        if (power[n] > least)
            kept.push_back(values[n]);
    return kept;
}

double db(float power) { return 10.0 * std::log10(double(power) + FLOOR); }

// As `numpy.quantile` of the values in dB; puts them in another order.
double quantile_db(std::vector<float> &power, double share) {
    const double place = share * double(power.size() - 1);
    const auto low = power.begin() + ptrdiff_t(place);
    std::nth_element(power.begin(), low, power.end());
    const double low_db = db(*low), between = place - std::floor(place);
    return between > 0.0 ? low_db + between * (db(*std::min_element(low + 1, power.end())) - low_db) : low_db;
}

template <class T>
double spread_db(Row<T> band, Row<T> whole, size_t length, size_t margin, double heard_db) {
    nb::gil_scoped_release release;
    const std::vector<float> all = mean_power(whole, length, margin);
    std::vector<float> heard = above(mean_power(band, length, margin), all, least(all, heard_db));
    const double usual_db = quantile_db(heard, 0.5);
    return quantile_db(heard, 0.95) - usual_db;
}

template <class T> double median_crest_db(Row<T> power, Row<T> peak, size_t length, double heard_db) {
    nb::gil_scoped_release release;
    const std::vector<float> mean = mean_power(power, length, length);
    std::vector<float> crest = sliding(peak, length, length, find_highest);
    for (size_t n = 0; n < crest.size(); ++n)
        crest[n] = crest[n] * crest[n] / mean[n];
    std::vector<float> heard = above(mean, mean, least(mean, heard_db));
    const size_t half = heard.size() / 2;  // of an even number the upper of the middle two: what is at least the median
    std::nth_element(heard.begin(), heard.begin() + ptrdiff_t(half), heard.end());
    std::vector<float> louder = above(crest, mean, std::nextafter(heard[half], 0.0f));
    return quantile_db(louder, 0.5);
}

template <class T> void bind(nb::module_ &m) {
    m.def("spread_db", &spread_db<T>, nb::arg("band"), nb::arg("whole"), nb::arg("length"), nb::arg("margin"),
          nb::arg("heard_db"), "P95 less P50 of a band's level in windows in which the whole is heard.");
    m.def("median_crest_db", &median_crest_db<T>, nb::arg("power"), nb::arg("peak"), nb::arg("length"),
          nb::arg("heard_db"), "Median of peak to mean power in the louder half of the windows.");
}

static Register here([](nb::module_ &m) {
    bind<float>(m);
    bind<double>(m);
});

}  // namespace
