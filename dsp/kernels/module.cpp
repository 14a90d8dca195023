#include "kernels.hpp"

std::vector<Binder> &binders() {
    static std::vector<Binder> all;
    return all;
}

NB_MODULE(_kernels, m) {
    m.doc() = "The compiled inner loops; their plain twins, the oracles, stand in the tests of what uses them.";
    nb::set_leak_warnings(false);  // a thread that Ctrl-C stops may still hold a meter when Python ends
    for (Binder bind : binders()) bind(m);
}
