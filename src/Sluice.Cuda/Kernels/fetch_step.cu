// A step's batch, from the host's memory to the card's: the first kernel of a recorded step, so that starting the graph is all the host has to ask for.
// Bytes: 4 a word, across the bus; latency is all that counts, so every load is on its way at once.
//   grid ceil((fixed + words of pages) / 1024), block 256
//
// The host gives `host` and `device`, laid out alike: the first `fixed` words, and from word `pages` on as many as host[USED] tells.
#include "sluice.cuh"

#define USED 5 // of a step's counts: where what is used ends

KERNEL __launch_bounds__(256) fetch_step(const u32* host, u32* device, int fixed, int pages)
{
    dependency_wait();
    dependents_launch();
    int word = ((int)blockIdx.x * 256 + (int)threadIdx.x) * 4;
    bool is_fixed = word < fixed;
    if (!is_fixed)
        word += pages - fixed;
    if (is_fixed || word < (int)load16_host(host + USED / 4 * 4).word[USED % 4])
        store16(device + word, load16_host(host + word));
}
