#include "kernels.hpp"

std::vector<Binder> &binders() {
    static std::vector<Binder> all;
    return all;
}

NB_MODULE(_kernels, m) {
    m.doc() = "The compiled inner loops; their plain twins, the oracles, live in tests/dsp/twins.py.";
    for (Binder bind : binders()) bind(m);
}
